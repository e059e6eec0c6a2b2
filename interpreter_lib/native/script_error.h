// Errors of TorchScript code, as the host shows Python's.
#pragma once

#include <exception>

#include "interpreter_lib/common/engine_error.h"

namespace torchdeploy::native {

// What torch threw while it ran a model: the model's own error. TorchScript writes its traceback
// and the message into one text, of which this makes two.
EngineError DescribeModelError(const std::exception& thrown);

}  // namespace torchdeploy::native
