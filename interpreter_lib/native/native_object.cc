#include "interpreter_lib/native/native_object.h"

#include <string>

#include <ATen/core/ivalue.h>

#include "interpreter_lib/abi/interp_abi.h"
#include "interpreter_lib/common/engine_error.h"

namespace torchdeploy::native {

NativeObjectPtr NativeObject::Attribute(const std::string& /*name*/) {
  return nullptr;
}

c10::IValue NativeObject::Call(td_arguments& /*arguments*/, const FindObject& /*find*/) {
  throw EngineError(TD_INVALID_ARGUMENT, Description() + " cannot be called");
}

c10::IValue NativeObject::Value() {
  throw EngineError(TD_INVALID_ARGUMENT, Description() + " cannot cross; its results can");
}

std::string ValueObject::Description() const {
  return "a value of type " + value_.type()->str();
}

}  // namespace torchdeploy::native
