// The result of an operation that can fail.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace torchdeploy {

// Numerically equal to grpc::StatusCode, so that a server maps it without a table.
enum class Code {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,  // The model's own exception.
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
};

// Name of a code as gRPC prints it, such as "INVALID_ARGUMENT".
[[nodiscard]] std::string_view CodeName(Code code);

// Immutable. Safe to copy between threads.
class [[nodiscard]] Status {
 public:
  Status() = default;
  // REQUIRES: code != Code::kOk.
  Status(Code code, std::string message);
  // A Python exception: `type` is its qualified name, `traceback` as Python formats it.
  Status(Code code, std::string message, std::string type, std::string traceback);

  [[nodiscard]] bool ok() const { return code_ == Code::kOk; }
  [[nodiscard]] Code code() const { return code_; }
  // One sentence for the reader; str(exception) for a Python exception.
  [[nodiscard]] const std::string& message() const { return message_; }
  // Qualified name of the Python exception, such as "ValueError"; empty if there was none.
  [[nodiscard]] const std::string& type() const { return type_; }
  [[nodiscard]] const std::string& traceback() const { return traceback_; }
  // "UNKNOWN: ValueError: negative size", for logs.
  [[nodiscard]] std::string ToString() const;

 private:
  Code code_ = Code::kOk;
  std::string message_;
  std::string type_;
  std::string traceback_;
};

// A value, or the Status that says why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}  // NOLINT(google-explicit-constructor)
  // REQUIRES: !status.ok().
  Result(Status status) : status_(std::move(status)) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool ok() const { return value_.has_value(); }
  [[nodiscard]] const Status& status() const { return status_; }

  // REQUIRES: ok().
  // NOLINTBEGIN(bugprone-unchecked-optional-access): checked by the caller.
  [[nodiscard]] T& operator*() & { return *value_; }
  [[nodiscard]] const T& operator*() const& { return *value_; }
  [[nodiscard]] T&& operator*() && { return std::move(*value_); }
  [[nodiscard]] T* operator->() { return &*value_; }
  [[nodiscard]] const T* operator->() const { return &*value_; }
  // NOLINTEND(bugprone-unchecked-optional-access)

 private:
  std::optional<T> value_;
  Status status_;
};

}  // namespace torchdeploy
