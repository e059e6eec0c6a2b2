#include "runtime/src/every_slot.h"

#include <cstddef>
#include <functional>
#include <future>
#include <memory>
#include <vector>

#include "runtime/src/slot_scheduler.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

namespace {

Status FirstFailure(const std::vector<Status>& statuses) {
  for (const Status& status : statuses) {
    if (!status.ok()) {
      return status;
    }
  }
  return {};
}

// A slot that is taken away meanwhile has nothing to do.
Status UnlessItLeft(const Status& refused) {
  return refused.code() == Code::kInvalidArgument ? Status() : refused;
}

Status InTurn(SlotScheduler& slots, const std::function<Status(size_t slot)>& work) {
  std::vector<Status> statuses;
  for (size_t slot = 0; slot < slots.size(); ++slot) {
    const Result<HeldSlot> held = HeldSlot::Acquire(slots.shared_from_this(), slot);
    statuses.push_back(held.ok() ? work(slot) : UnlessItLeft(held.status()));
  }
  return FirstFailure(statuses);
}

Status SideBySide(SlotScheduler& slots, const std::function<Status(size_t slot)>& work) {
  std::vector<std::future<Status>> doing;
  for (size_t slot = 0; slot < slots.size(); ++slot) {
    auto done = std::make_shared<std::promise<Status>>();
    doing.push_back(done->get_future());
    SlotScheduler::Job job = [&work, done](size_t held) { done->set_value(work(held)); };
    const Status accepted = slots.Submit(job, slot);
    if (!accepted.ok()) {
      done->set_value(UnlessItLeft(accepted));
    }
  }
  std::vector<Status> statuses;
  statuses.reserve(doing.size());
  for (std::future<Status>& status : doing) {
    statuses.push_back(status.get());
  }
  return FirstFailure(statuses);
}

}  // namespace

Status InEverySlot(SlotScheduler& slots, const std::function<Status(size_t slot)>& work) {
  return slots.ThisThreadHoldsAny() ? InTurn(slots, work) : SideBySide(slots, work);
}

}  // namespace torchdeploy
