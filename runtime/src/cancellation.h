// What copies of a Cancellation share.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace torchdeploy {

class EndableCall;

// Thread-safe.
class CancellationState {
 public:
  // False when it is cancelled already, and then `call` is not added.
  bool Add(const std::shared_ptr<EndableCall>& call);
  void Cancel();
  [[nodiscard]] bool is_cancelled() const;

 private:
  mutable std::mutex mutex_;
  // Guarded by mutex_.
  bool cancelled_ = false;
  std::vector<std::weak_ptr<EndableCall>> calls_;  // Those that still run, and a few more.
};

}  // namespace torchdeploy
