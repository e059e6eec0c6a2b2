// One engine behind the waist, with the runtime's own types.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "interpreter_lib/abi/interp_abi.h"
#include "runtime/src/value_crossing.h"
#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"
#include "torchdeploy/value.h"

namespace torchdeploy {

// Each operation is the waist's function of that name; errors arrive as a Status.
// Thread-safe. Never destroyed: no interpreter can be unloaded.
class Engine {
 public:
  // REQUIRES: called on the thread that will call Stop().
  static Result<std::unique_ptr<Engine>> Create(const td_engine_api& api,
                                                const td_options& options);

  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // On the interpreter's own thread, once. From then on Release() and Collect() do nothing.
  // REQUIRES: no other operation runs or will be called.
  void Stop();

  Result<td_object> OpenPackage(const std::string& name, Tensor archive);
  Result<td_object> LoadPickle(td_object importer, const std::string& package,
                               const std::string& resource, Tensor archive);
  Result<td_object> Global(const std::string& module, const std::string& name);
  Result<td_object> Attribute(td_object object, const std::string& name);
  Result<bool> HasAttribute(td_object object, const std::string& name);
  Result<Value> Call(td_object callable, const std::vector<Value>& args, const Kwargs& kwargs,
                     AliasedTensors aliased);
  Result<td_object> CallForObject(td_object callable, const std::vector<Value>& args,
                                  const Kwargs& kwargs);
  Result<td_object> CallObjects(td_object callable, const std::vector<td_object>& args);
  // Tensors share the object's memory.
  Result<Value> ToValue(td_object object);
  Result<td_object> FromValue(const Value& value);

  Status RegisterModule(const std::string& name, const std::string& source);
  // `importer`: 0 for none.
  Result<Value> Pickle(td_object object, td_object importer);
  Result<td_object> Unpickle(td_object importer, const Value& pickled);
  // On the interpreter's own thread, when nothing else runs in the interpreter.
  void Reset();

  // Neither waits for the interpreter.
  void Interrupt();
  void Release(td_object object);
  void Collect();

  // Never waits.
  [[nodiscard]] td_usage Usage() const;

  // How many operations have entered the interpreter so far.
  [[nodiscard]] uint64_t entries() const { return entries_.load(); }

 private:
  Engine(const td_engine_api& api, td_engine* engine) : api_(api), engine_(engine) {}

  // The engine for one more operation that enters the interpreter.
  td_engine* Enter();
  // What `operation` makes of `value`, laid out for the waist.
  template <typename Operation>
  Result<td_object> ObjectOf(const Value& value, Operation operation);
  Result<Value> Take(td_value& value, AliasedTensors aliased);

  const td_engine_api api_;
  td_engine* const engine_;
  std::atomic<uint64_t> entries_ = 0;
  std::mutex stop_mutex_;
  bool stopped_ = false;  // Guarded by stop_mutex_.
};

}  // namespace torchdeploy
