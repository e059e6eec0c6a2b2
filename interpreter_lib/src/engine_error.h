// Why an operation of the engine failed, and how that crosses the waist.
#pragma once

#include <exception>
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
      : code_(code),
        message_(std::move(message)),
        type_(std::move(type)),
        traceback_(std::move(traceback)) {}

  [[nodiscard]] const char* what() const noexcept override { return message_.c_str(); }
  [[nodiscard]] td_code code() const { return code_; }
  [[nodiscard]] const std::string& message() const { return message_; }
  [[nodiscard]] const std::string& type() const { return type_; }
  [[nodiscard]] const std::string& traceback() const { return traceback_; }

 private:
  td_code code_;
  std::string message_;
  std::string type_;
  std::string traceback_;
};

// Fills `out` (null is allowed) and returns the error's code. Never throws: without memory
// the strings are empty.
td_code ReportError(const EngineError& error, td_error* out) noexcept;

// Gives back what ReportError() filled. Any thread; never waits; twice is harmless.
void FreeError(td_error* error) noexcept;

}  // namespace torchdeploy
