// The arguments of a call, matched with the parameters of a TorchScript function.
#pragma once

#include <vector>

#include <ATen/core/function_schema.h>
#include <ATen/core/ivalue.h>

#include "interpreter_lib/abi/interp_abi.h"
#include "interpreter_lib/native/native_object.h"

namespace torchdeploy::native {

// A value for each parameter of a method but `self`, in order: by position, by name, or its
// default. Each tensor that is taken is set to null. Throws EngineError(TD_INVALID_ARGUMENT),
// naming the argument and what the method takes.
std::vector<c10::IValue> MatchArguments(const c10::FunctionSchema& schema, td_arguments& arguments,
                                        const FindObject& find);

}  // namespace torchdeploy::native
