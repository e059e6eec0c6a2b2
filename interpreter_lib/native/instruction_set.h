// What this processor can run.
#pragma once

#include <string>

namespace torchdeploy::native {

// The first of `names`, separated by spaces, such as "AVX512 AVX512_VNNI", that this processor
// lacks or that is not known here, or "".
//
// Source: the names of torch/_inductor/cpu_vec_isa.py, in capitals.
std::string MissingInstructions(const std::string& names);

}  // namespace torchdeploy::native
