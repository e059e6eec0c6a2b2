// The one engine of this test program, and short ways to use it.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "interpreter_lib/abi/interp_abi.h"

namespace torchdeploy::testing {

constexpr uint32_t kSlot = 5;
constexpr int32_t kIntraOpThreads = 2;

// A td_error, copied.
struct Failure {
  td_code code = TD_OK;
  std::string type;
  std::string message;
  std::string traceback;
};

class EngineUnderTest;

// What a call gave: a value, or a failure.
class Outcome {
 public:
  Outcome(EngineUnderTest* engine, td_value value, Failure failure)
      : engine_(engine), value_(value), failure_(std::move(failure)) {}
  Outcome(Outcome&& other) noexcept
      : engine_(other.engine_),
        value_(std::exchange(other.value_, td_value{})),
        failure_(std::move(other.failure_)) {}
  Outcome(const Outcome&) = delete;
  Outcome& operator=(const Outcome&) = delete;
  Outcome& operator=(Outcome&&) = delete;
  ~Outcome();

  [[nodiscard]] bool ok() const { return failure_.code == TD_OK; }
  [[nodiscard]] const Failure& failure() const { return failure_; }
  // REQUIRES: ok(), else fails the test.
  [[nodiscard]] td_value& value();
  [[nodiscard]] std::string Show();

 private:
  EngineUnderTest* engine_;
  td_value value_;
  Failure failure_;
};

using Keywords = std::vector<std::pair<std::string, td_value>>;

// The bytes of a file as the host gives an archive to the engine.
td_value ReadArchive(const std::string& path);

class EngineUnderTest {
 public:
  // Starts the engine at the first use, which must be on the main thread.
  static EngineUnderTest& Get();

  [[nodiscard]] decltype(&td_engine_get_api) get_api() const { return get_api_; }
  [[nodiscard]] const td_engine_api& api() const { return api_; }
  [[nodiscard]] td_engine* engine() const { return engine_; }
  // How often the engine asked for collect().
  [[nodiscard]] int releases_pending() const { return releases_pending_.load(); }

  // The object that the lambda or other expression gives. Fails the test if it raises.
  td_object Eval(const std::string& expression);
  // The object `name` that is there after `code` has run in a module of its own.
  td_object Define(const std::string& code, const std::string& name);

  Outcome Call(td_object callable, std::vector<td_value> arguments = {},
               const Keywords& keywords = {}, td_want want = TD_WANT_VALUE);
  // Call(Eval(expression), arguments).
  Outcome CallExpression(const std::string& expression, std::vector<td_value> arguments = {});
  // to_value(Eval(expression)).
  Outcome Value(const std::string& expression);
  Failure OpenPackage(const std::string& path, td_object* importer);
  // From the archive that `importer` was opened for.
  Failure LoadPickle(td_object importer, const std::string& package, const std::string& resource,
                     td_object* object);

  // Copies and frees an error of the engine.
  Failure Take(td_code code, td_error* error) const;

 private:
  EngineUnderTest();

  decltype(&td_engine_get_api) get_api_;
  td_engine_api api_;
  td_engine* engine_ = nullptr;
  std::atomic<int> releases_pending_ = 0;
  td_object eval_ = 0;
  td_object names_ = 0;
  td_object define_ = 0;
  std::map<td_object, std::string> paths_;  // Of the archives, by importer.
};

}  // namespace torchdeploy::testing
