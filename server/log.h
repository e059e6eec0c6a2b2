// What whoever operates the server reads: a line for each event that is not as it should be.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "torchdeploy/status.h"

namespace torchdeploy::server {

enum class LogFormat { kText, kJson };

// A request that was not answered with a result. Names as the client gave them.
struct FailedRequest {
  const std::string& model;
  const std::string& version;
  const std::string& id;
  const Status& status;
};

// What of it is written; may be changed at any time.
struct LogSwitches {
  std::atomic<bool> events = true;
  std::atomic<bool> failures = true;
};

// Thread-safe as far as its `write` is. Copies are one log.
class Log {
 public:
  // One line, without its end. Must not throw.
  using Write = std::function<void(const std::string& line)>;

  // Writes nothing.
  Log() = default;
  Log(LogFormat format, Write write) : format_(format), write_(std::move(write)) {}

  // An event of the server or of a model's load. `traceback`: of the Python exception that it was,
  // if any; as text it is on lines of its own.
  void Event(const std::string& message, const std::string& traceback = "") const;

  // One line, in JSON with the traceback of a Python exception.
  void Failure(const FailedRequest& request) const;

  [[nodiscard]] LogSwitches& switches() const { return *switches_; }

 private:
  LogFormat format_ = LogFormat::kText;
  Write write_;
  std::shared_ptr<LogSwitches> switches_ = std::make_shared<LogSwitches>();
};

}  // namespace torchdeploy::server
