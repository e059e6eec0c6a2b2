// How an engine is recognised in a loaded library.
#pragma once

#include <string>

#include "interpreter_lib/abi/interp_abi.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

// Resolves td_engine_get_api in a library that dlopen() returned and shakes hands with it.
// kFailedPrecondition, naming `path`, when it is no engine or speaks another version of the
// waist.
Result<td_engine_api> ReadEngineApi(void* library, const std::string& path);

}  // namespace torchdeploy
