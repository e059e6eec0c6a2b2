// One session, as its handle and its objects share it.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "interpreter_lib/abi/interp_abi.h"
#include "runtime/src/engine.h"
#include "runtime/src/engine_object.h"
#include "runtime/src/package_state.h"
#include "runtime/src/pool.h"
#include "runtime/src/slot_scheduler.h"
#include "torchdeploy/obj.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

// Begins with a slot held and ends when End() lets it go; objects may outlive that.
class SessionState {
 public:
  // Waits for a slot. Fails as SlotScheduler::Acquire().
  static Result<std::shared_ptr<SessionState>> Begin(std::shared_ptr<Pool> pool,
                                                     std::optional<size_t> wanted);

  SessionState(std::shared_ptr<Pool> pool, HeldSlot held)
      : pool_(std::move(pool)),
        engine_(pool_->engine(held.slot())),
        thread_(std::this_thread::get_id()),
        slot_(held.slot()),
        held_(std::move(held)) {}
  SessionState(const SessionState&) = delete;
  SessionState& operator=(const SessionState&) = delete;

  // kFailedPrecondition on another thread than the one that began it, or once it has ended.
  [[nodiscard]] Status CheckUsable() const;
  void End();

  [[nodiscard]] const std::shared_ptr<Pool>& pool() const { return pool_; }
  [[nodiscard]] Engine& engine() const { return engine_; }
  [[nodiscard]] size_t slot() const { return slot_; }

  // What the session was opened for: set by who opens it, and read by its handle.
  std::shared_ptr<const EngineObject> opened_for;
  // The handle of that.
  Obj self;
  // Whose code that is; null for no archive's.
  std::shared_ptr<PackageState> package;

 private:
  const std::shared_ptr<Pool> pool_;
  Engine& engine_;
  const std::thread::id thread_;
  const size_t slot_;
  std::atomic<bool> ended_ = false;
  std::optional<HeldSlot> held_;
};

// What an Obj refers to.
class ObjRecord {
 public:
  ObjRecord(std::shared_ptr<SessionState> session, std::shared_ptr<const EngineObject> object)
      : session_(std::move(session)), object_(std::move(object)) {}

  [[nodiscard]] const std::shared_ptr<SessionState>& session() const { return session_; }
  [[nodiscard]] td_object id() const { return object_->id(); }
  [[nodiscard]] Engine& engine() const { return object_->engine(); }

 private:
  const std::shared_ptr<SessionState> session_;
  const std::shared_ptr<const EngineObject> object_;
};

}  // namespace torchdeploy
