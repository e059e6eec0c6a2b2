#include "torchdeploy/status.h"

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace torchdeploy {

namespace {

constexpr std::array<std::string_view, 16> kNames = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS"};

}  // namespace

std::string_view CodeName(Code code) {
  return kNames.at(static_cast<size_t>(code));
}

Status::Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}

Status::Status(Code code, std::string message, std::string type, std::string traceback)
    : code_(code),
      message_(std::move(message)),
      type_(std::move(type)),
      traceback_(std::move(traceback)) {}

std::string Status::ToString() const {
  std::string text(CodeName(code_));
  if (!type_.empty()) {
    text += ": " + type_;
  }
  if (!message_.empty()) {
    text += ": " + message_;
  }
  return text;
}

}  // namespace torchdeploy
