#include "server/worker.h"

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "torchdeploy/status.h"

namespace torchdeploy::server {

Result<std::shared_ptr<Worker>> Worker::Start() {
  std::shared_ptr<Worker> worker(new Worker());
  try {
    worker->thread_ = std::thread([self = worker.get()] { self->Run(); });
  } catch (const std::system_error& error) {
    return Status(Code::kResourceExhausted, std::string("cannot start a thread: ") + error.what());
  }
  return worker;
}

Worker::~Worker() {
  Stop();
}

bool Worker::Post(std::function<void()> work) {
  const std::lock_guard lock(mutex_);
  if (is_stopped_) {
    return false;
  }
  posted_.push_back(std::move(work));
  changed_.notify_all();
  return true;
}

void Worker::Stop() {
  {
    const std::lock_guard lock(mutex_);
    is_stopped_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) {
    thread_.join();
  }
}

void Worker::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return is_stopped_ || !posted_.empty(); });
    if (posted_.empty()) {
      return;
    }
    const std::function<void()> work = std::move(posted_.front());
    posted_.pop_front();
    lock.unlock();
    work();
    lock.lock();
  }
}

}  // namespace torchdeploy::server
