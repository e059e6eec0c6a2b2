#include "runtime/src/interpreter.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "interpreter_lib/abi/interp_abi.h"
#include "runtime/src/core_pinning.h"
#include "runtime/src/engine.h"
#include "runtime/src/engine_loader.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

namespace {

// Long enough that a busy interpreter does its releases by itself at its next call.
constexpr std::chrono::milliseconds kReleaseDelay{5};

}  // namespace

Interpreter::Interpreter(InterpreterKind kind, uint32_t number,
                         std::shared_ptr<EngineLoader> loader)
    : kind_(std::move(kind)), loader_(std::move(loader)) {
  auto started = std::make_shared<std::promise<Status>>();
  started_ = started->get_future().share();
  try {
    std::thread([this, number, started] {
      thread_id_ = std::this_thread::get_id();
      started->set_value(StartEngine(number));
      Serve();  // Also after a failure, for what the engine began may need its thread.
    }).detach();
  } catch (const std::system_error& error) {
    started->set_value(
        Status(Code::kResourceExhausted,
               std::string("No thread can be started for an interpreter: ") + error.what() + "."));
  }
}

Status Interpreter::StartEngine(uint32_t number) {
  if (kind_.traits.pin_cores) {
    Status pinned = PinThisThread(CoresOfSlot(kind_.slot, kind_.traits.intra_op_threads));
    if (!pinned.ok()) {
      return pinned;
    }
  }
  Result<td_engine_api> api = loader_->Load(number);
  if (!api.ok()) {
    return api.status();
  }
  td_options options{};
  options.size = sizeof options;
  options.slot = kind_.slot;
  options.intra_op_threads = kind_.traits.intra_op_threads;
  options.python = loader_->python().c_str();
  options.context = this;
  options.releases_pending = &ReleasesPending;
  Result<std::unique_ptr<Engine>> engine = Engine::Create(*api, options);
  if (!engine.ok()) {
    return engine.status();
  }
  // Under the lock for releases_pending, which the engine may call at once on any thread.
  const std::lock_guard lock(mutex_);
  engine_ = *std::move(engine);
  return {};
}

void Interpreter::Post(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    mailbox_.push_back(std::move(work));
  }
  changed_.notify_one();
}

std::future<void> Interpreter::Clean() {
  return Do(&Engine::Reset);
}

std::future<void> Interpreter::Stop() {
  return Do(&Engine::Stop);
}

std::future<void> Interpreter::Do(void (Engine::*operation)()) {
  auto done = std::make_shared<std::promise<void>>();
  std::future<void> future = done->get_future();
  Post([this, operation, done] {
    (*engine_.*operation)();
    done->set_value();
  });
  return future;
}

void Interpreter::ReleasesPending(void* interpreter) {
  auto& self = *static_cast<Interpreter*>(interpreter);
  bool was_pending = false;
  {
    // Held elsewhere only to look at the mailbox, never while an interpreter is waited for.
    const std::lock_guard lock(self.mutex_);
    was_pending = std::exchange(self.has_pending_releases_, true);
    self.pending_releases_.entries = self.engine_ == nullptr ? 0 : self.engine_->entries();
    // Else they are done when the earlier ones are due: a busy interpreter's calls must not wake
    // its thread each, nor look at the clock.
    if (!was_pending) {
      self.pending_releases_.due = Clock::now() + kReleaseDelay;
    }
  }
  if (!was_pending) {
    self.changed_.notify_one();
  }
}

void Interpreter::Serve() {
  for (;;) {
    NextWork()();
  }
}

std::function<void()> Interpreter::NextWork() {
  std::unique_lock lock(mutex_);
  while (mailbox_.empty()) {
    if (!has_pending_releases_) {
      changed_.wait(lock);
      continue;
    }
    if (Clock::now() < pending_releases_.due) {
      changed_.wait_until(lock, pending_releases_.due);
      continue;
    }
    has_pending_releases_ = false;
    return [this, entries = pending_releases_.entries] { CollectUnlessEnteredSince(entries); };
  }
  std::function<void()> work = std::move(mailbox_.front());
  mailbox_.pop_front();
  return work;
}

void Interpreter::CollectUnlessEnteredSince(uint64_t entries) {
  if (engine_ != nullptr && engine_->entries() == entries) {
    engine_->Collect();
  }
}

}  // namespace torchdeploy
