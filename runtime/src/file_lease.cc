#include "runtime/src/file_lease.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "runtime/src/isolation/owned_fd.h"

namespace torchdeploy {

// Shared by the handle and the thread that watches.
struct LeaseState {
  OwnedFd file;
  std::function<void()> on_break;

  std::mutex mutex;
  std::condition_variable changed;
  bool is_over = false;  // Guarded by mutex.
};

namespace {

// How long a writer waits before it is noticed. The kernel's signal would tell at once, but
// to take it, a library would have to take it from its host.
constexpr std::chrono::milliseconds kLookAgainAfter{200};

// Has the kernel's signal about the lease sent to this thread, where it stays blocked: by
// default it goes to the process and ends it.
bool KeepSignalHere(int file) {
  sigset_t all;  // NOLINT(misc-include-cleaner): signal.h has it.
  sigfillset(&all);
  const f_owner_ex owner{F_OWNER_TID, gettid()};
  return pthread_sigmask(SIG_SETMASK, &all, nullptr) == 0 && fcntl(file, F_SETOWN_EX, &owner) == 0;
}

// Until the handle has gone or somebody wants to change the file; says whether it is that.
bool AwaitBreak(LeaseState& state) {
  std::unique_lock lock(state.mutex);
  while (!state.is_over && fcntl(state.file.get(), F_GETLEASE) == F_RDLCK) {
    state.changed.wait_for(lock, kLookAgainAfter);
  }
  return !std::exchange(state.is_over, true);
}

void Watch(LeaseState& state, std::promise<bool> taken) {
  const int file = state.file.get();
  const bool is_taken = KeepSignalHere(file) && fcntl(file, F_SETLEASE, F_RDLCK) == 0;
  taken.set_value(is_taken);
  if (!is_taken) {
    return;
  }
  if (AwaitBreak(state)) {
    state.on_break();
  }
  fcntl(file, F_SETLEASE, F_UNLCK);
}

}  // namespace

std::unique_ptr<FileLease> FileLease::Take(const OwnedFd& file, std::function<void()> on_break) {
  auto state = std::make_shared<LeaseState>();
  state->file = OwnedFd(fcntl(file.get(), F_DUPFD_CLOEXEC, 0));
  state->on_break = std::move(on_break);
  std::promise<bool> taken;
  std::future<bool> is_taken = taken.get_future();
  try {
    std::thread([state, taken = std::move(taken)]() mutable {
      Watch(*state, std::move(taken));
    }).detach();
  } catch (const std::system_error&) {
    return nullptr;  // No thread.
  }
  return is_taken.get() ? std::unique_ptr<FileLease>(new FileLease(std::move(state))) : nullptr;
}

FileLease::FileLease(std::shared_ptr<LeaseState> state) : state_(std::move(state)) {}

FileLease::~FileLease() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->is_over = true;
  }
  state_->changed.notify_one();
}

}  // namespace torchdeploy
