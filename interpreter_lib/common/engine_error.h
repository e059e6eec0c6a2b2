// Why an operation of the engine failed, and how that crosses the waist.
#pragma once

#include <exception>
#include <memory>
#include <string>
#include <utility>

#include "interpreter_lib/abi/interp_abi.h"

namespace torchdeploy {

// Thrown inside the engine only; the function table turns it into a td_error. Holds no
// Python object, so it may be copied and destroyed without the interpreter's lock.
class EngineError : public std::exception {
 public:
  EngineError(td_code code, std::string message) : EngineError(code, std::move(message), {}, {}) {}
  EngineError(td_code code, std::string message, std::string type, std::string traceback)
      : content_(std::make_shared<const Content>(
            Content{code, std::move(message), std::move(type), std::move(traceback)})) {}

  [[nodiscard]] const char* what() const noexcept override { return content_->message.c_str(); }
  [[nodiscard]] td_code code() const { return content_->code; }
  [[nodiscard]] const std::string& message() const { return content_->message; }
  [[nodiscard]] const std::string& type() const { return content_->type; }
  [[nodiscard]] const std::string& traceback() const { return content_->traceback; }

 private:
  struct Content {
    td_code code;
    std::string message;
    std::string type;
    std::string traceback;
  };

  std::shared_ptr<const Content> content_;  // Shared, so that a copy cannot throw.
};

// Fills `out` (null is allowed) and returns the error's code. Never throws: without memory
// the strings are empty.
td_code ReportError(const EngineError& error, td_error* out) noexcept;

// Gives back what ReportError() filled. Any thread; never waits; twice is harmless.
void FreeError(td_error* error) noexcept;

}  // namespace torchdeploy
