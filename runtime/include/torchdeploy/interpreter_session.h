// The right to use one interpreter on this thread.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "torchdeploy/obj.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

namespace torchdeploy {

class ReplicatedObj;
class SessionState;  // Internal.

// Reserves an interpreter from its making to its destruction; the GIL is held during each
// operation only. Movable; used and destroyed on the thread that made it. Operations on
// another thread fail with kFailedPrecondition.
class InterpreterSession {
 public:
  InterpreterSession(InterpreterSession&&) noexcept;
  InterpreterSession& operator=(InterpreterSession&&) noexcept;
  InterpreterSession(const InterpreterSession&) = delete;
  InterpreterSession& operator=(const InterpreterSession&) = delete;
  ~InterpreterSession();

  // Index of the reserved interpreter.
  [[nodiscard]] size_t slot() const;

  // The object that the session was opened for: the replica (ReplicatedObj) or the
  // package's importer (Package); empty for InterpreterManager::AcquireSession().
  [[nodiscard]] const Obj& self() const;

  // `from module import name`.
  [[nodiscard]] Result<Obj> Global(const std::string& module, const std::string& name) const;
  [[nodiscard]] Result<Obj> FromValue(Value value) const;
  // The object itself, the same at each time, which this interpreter has of `object`.
  // kFailedPrecondition when that is another manager's; else the error of making its replica.
  [[nodiscard]] Result<Obj> FromMovable(const ReplicatedObj& object) const;

  // `obj`, pickled, to be made again in any interpreter of this session's manager; the memory of
  // its tensors is shared with it. Its classes and functions are found in the archive that the
  // session was opened for, if any, and among the installed modules. kFailedPrecondition: `obj`
  // is another session's. kUnknown: it cannot be pickled.
  [[nodiscard]] Result<ReplicatedObj> CreateMovable(const Obj& obj) const;

  // Whether `obj` belongs to this session.
  [[nodiscard]] bool Owns(const Obj& obj) const;

 private:
  friend class InterpreterManager;
  friend class Package;
  friend class ReplicatedObj;
  explicit InterpreterSession(std::shared_ptr<SessionState> state);

  std::shared_ptr<SessionState> state_;
};

}  // namespace torchdeploy
