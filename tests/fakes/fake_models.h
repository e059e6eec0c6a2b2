// What the models and functions of the fake engine do; fake_engine.cc has the table.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include <dlpack/dlpack.h>

#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

namespace torchdeploy::fakes {

// Shared by all interpreters of the process. Thread-safe.
class FakeProcess {
 public:
  static FakeProcess& Get();

  // Returns once ReleaseHanging() was called after this began.
  void Hang();
  void ReleaseHanging();
  int64_t hanging();

  std::atomic<int64_t> created = 0;
  std::atomic<int64_t> collects = 0;
  std::atomic<int64_t> fail_create_of_slot = -1;
  std::atomic<bool> fail_next_load = false;
  std::atomic<int64_t> open_streams = 0;

 private:
  std::mutex mutex_;
  std::condition_variable released_;
  int64_t hanging_ = 0;
  int64_t releases_ = 0;
};

// One interpreter, as its models see it.
struct FakeInterpreter {
  uint32_t slot = 0;
  std::atomic<int64_t> calls = 0;
  std::atomic<bool> is_calling = false;
  std::atomic<bool> is_interrupted = false;
  float aliased[4] = {};
  struct Stream {
    int64_t items = 0;
    int64_t next = 0;
  };
  // Touched by calls only.
  std::map<int64_t, Stream> streams = {};
  std::map<int64_t, int64_t> sums = {};  // By sequence.
};

struct FakeArguments {
  std::vector<Value> positional;
  Kwargs keywords;
};

// Whether there is a model pickled as `resource`.
bool IsModel(const std::string& resource);

// What the attribute `name` of a model is called.
std::string MethodOf(const std::string& resource, const std::string& name);

// Aborts when another call runs in the same interpreter.
Result<Value> CallModel(const std::string& resource, FakeInterpreter& interpreter,
                        const FakeArguments& arguments);

// Whether `fake.name` is a function.
bool IsFunction(const std::string& name);
Result<Value> CallFunction(const std::string& name, int64_t live_objects,
                           const FakeArguments& arguments);

}  // namespace torchdeploy::fakes
