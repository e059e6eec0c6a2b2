// One Python object, present in every interpreter of a pool.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "torchdeploy/call_options.h"
#include "torchdeploy/interpreter_session.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

namespace torchdeploy {

class ReplicaSet;  // Internal.

// Copyable; copies mean the same object. Thread-safe. Each interpreter makes its replica
// when it is first needed. Dropping the last copy releases the replicas.
class ReplicatedObj {
 public:
  // Called exactly once.
  using Callback = std::function<void(Result<Value>)>;

  // Calls the object in a free interpreter, on this thread; waits, in order of arrival,
  // for the first that becomes free. Tensors in the result belong to the caller: what
  // aliases the model's memory is copied first.
  //
  // kUnknown for the object's own exception; kInvalidArgument for a result that cannot
  // cross; kFailedPrecondition when the wait could not end, because this thread's own
  // sessions hold every interpreter; kUnavailable once the manager is closing.
  //
  // With a deadline or a cancellation the call runs on the interpreter's own thread, which costs
  // two changes of threads, and this thread waits no longer than they say, whatever the model
  // does: kDeadlineExceeded, kCancelled.
  Result<Value> Call(std::vector<Value> args, Kwargs kwargs = {},
                     const CallOptions& options = {}) const;

  // The same without waiting. `done` runs on the interpreter's own thread before that
  // takes its next call: within it, tensors may alias the model's memory and are stable;
  // a tensor kept for longer must be cloned. `done` must be quick and must not throw,
  // and must not wait for another call. After Close() it runs on this thread, at once; for a
  // call that ends early, on a thread of the manager or on the one that cancels.
  void CallAsync(std::vector<Value> args, Kwargs kwargs, Callback done,
                 const CallOptions& options = {}) const;

  // A call that is made up when there is an interpreter for it.
  struct DueCall {
    std::vector<Value> args;
    Kwargs kwargs;
    Callback done;
    CallOptions options = {};
    std::string method = {};  // An attribute that is called; empty: the object itself.
  };
  // `slot`: where the call will be made.
  using NextCall = std::function<std::optional<DueCall>(size_t slot)>;

  // Asks `next` for a call as soon as an interpreter (or the one at `slot`) is free, in order of
  // arrival, and makes the call there, as CallAsync() does. For who has a queue of his own: what is
  // asked for last is what runs next. Of several that wait for one object and the same slot, or
  // any, the first stands in that order, and the second goes to its end when the first is asked:
  // objects take turns. `next` runs on the interpreter's own thread; it must be quick and must not
  // throw. Nothing: the interpreter is free for others.
  //
  // kUnavailable once the manager is closing, kInvalidArgument for a slot that is not there; `next`
  // is then not asked.
  Status CallWhenFree(NextCall next, std::optional<size_t> slot = {}) const;

  // Of its manager, now.
  [[nodiscard]] size_t num_interpreters() const;

  // Reserves a free interpreter (or the one at `slot`) for this thread; self() is the
  // replica. A thread that already holds a session of that interpreter gets it again.
  [[nodiscard]] Result<InterpreterSession> AcquireSession(std::optional<size_t> slot = {}) const;

  // Makes the replica in every interpreter now. The first failure is returned.
  Status LoadEverywhere() const;

  // Drops the replicas, or the one at `slot`, once their interpreters are free; the next use
  // makes them again. Errors as AcquireSession().
  Status Unload(std::optional<size_t> slot = {}) const;

  // Whether the object has an attribute of that name. Errors as AcquireSession().
  [[nodiscard]] Result<bool> HasAttribute(const std::string& name) const;

 private:
  friend class InterpreterSession;
  friend class Package;
  explicit ReplicatedObj(std::shared_ptr<ReplicaSet> replicas);

  std::shared_ptr<ReplicaSet> replicas_;
};

}  // namespace torchdeploy
