// Why an operation of the engine failed, and how that crosses the waist.
#include "interpreter_lib/common/engine_error.h"

#include <memory>
#include <new>

#include "interpreter_lib/abi/interp_abi.h"

namespace torchdeploy {

td_code ReportError(const EngineError& error, td_error* out) noexcept {
  if (out == nullptr) {
    return error.code();
  }
  *out = {error.code(), "", "", "", nullptr};
  try {
    auto owner = std::make_unique<EngineError>(error);
    out->type = owner->type().c_str();
    out->message = owner->message().c_str();
    out->traceback = owner->traceback().c_str();
    out->owner = owner.release();
  } catch (const std::bad_alloc&) {
    out->message = "out of memory while an error was reported";
  }
  return error.code();
}

void FreeError(td_error* error) noexcept {
  if (error == nullptr) {
    return;
  }
  const std::unique_ptr<EngineError> owner(static_cast<EngineError*>(error->owner));
  *error = {error->code, "", "", "", nullptr};
}

}  // namespace torchdeploy
