#include "interpreter_lib/native/instruction_set.h"

#include <sstream>
#include <string>

namespace torchdeploy::native {
namespace {

bool HasInstructions([[maybe_unused]] const std::string& name) {
#ifdef __x86_64__
  if (name == "AVX2") {
    return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
  }
  if (name == "AVX512") {
    return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512dq") != 0 &&
           __builtin_cpu_supports("avx512vl") != 0 && __builtin_cpu_supports("avx512bw") != 0;
  }
  if (name == "AVX512_VNNI") {
    return __builtin_cpu_supports("avx512vnni") != 0;
  }
  return name == "INVALID_VEC_ISA";  // torch's name for none.
#else
  return true;
#endif
}

}  // namespace

std::string MissingInstructions(const std::string& names) {
  std::istringstream stream(names);
  for (std::string name; stream >> name;) {
    if (!HasInstructions(name)) {
      return name;
    }
  }
  return "";
}

}  // namespace torchdeploy::native
