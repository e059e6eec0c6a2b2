// Values of the fake engine: in and out through the waist, and a count of its tensors.
#pragma once

#include <cstdint>

#include "interpreter_lib/abi/interp_abi.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

namespace torchdeploy::fakes {

// Tensors that came in or went out and whose deleter has not run yet, in this process.
int64_t LiveTensors();

// Takes a value that was passed in; its tensors are owned from here on. kInvalidArgument for
// an object inside a value.
Result<Value> Import(td_value& value);

// Lays `value` out in memory that Free() frees; tensors are re-exported over the same memory
// with `flags`.
void Export(const Value& value, uint32_t flags, td_value& out);

// Frees what Export() made, and the tensors that nobody took.
void Free(td_value& value);

}  // namespace torchdeploy::fakes
