#include "interpreter_lib/native/script_error.h"

#include <cstddef>
#include <exception>
#include <string>
#include <string_view>
#include <utility>

#include <c10/util/Exception.h>
#include <torch/csrc/jit/runtime/jit_exception.h>

#include "interpreter_lib/abi/interp_abi.h"
#include "interpreter_lib/common/engine_error.h"
#include "interpreter_lib/native/utf8.h"

namespace torchdeploy::native {
namespace {

// Source: InterpreterStateImpl::handleError in torch/csrc/jit/runtime/interpreter.cpp.
constexpr std::string_view kIntroduction =
    "The following operation failed in the TorchScript interpreter.\n";
constexpr std::string_view kPythonModule = "builtins.";

// "Class: message" is the end of a text that begins with the traceback.
EngineError Split(const std::string& thrown, const std::string& type) {
  const std::string text = ShownAsUtf8(thrown);
  const std::string before = "\n" + type + ": ";
  const size_t at = text.rfind(before);
  if (!text.starts_with(kIntroduction) || at == std::string::npos) {
    return {TD_UNKNOWN, text, type, ""};
  }
  std::string message = text.substr(at + before.size());
  if (message.ends_with('\n')) {
    message.pop_back();
  }
  return {TD_UNKNOWN, std::move(message), type, text.substr(kIntroduction.size())};
}

}  // namespace

EngineError DescribeModelError(const std::exception& thrown) {
  if (const auto* const raised = dynamic_cast<const torch::jit::JITException*>(&thrown)) {
    const std::string type = raised->getPythonClassName().value_or("RuntimeError");
    const EngineError error = Split(raised->what(), type);
    const bool is_builtin = type.starts_with(kPythonModule);
    return {error.code(), error.message(), is_builtin ? type.substr(kPythonModule.size()) : type,
            error.traceback()};
  }
  if (const auto* const failed = dynamic_cast<const c10::Error*>(&thrown)) {
    return Split(failed->what_without_backtrace(), "RuntimeError");
  }
  return Split(thrown.what(), "RuntimeError");
}

}  // namespace torchdeploy::native
