// Doing the same in all slots.
#pragma once

#include <cstddef>
#include <functional>

#include "torchdeploy/status.h"

namespace torchdeploy {

class SlotScheduler;

// Does `work` in every slot, side by side, on the thread that holds the slot, and waits for that.
// The failure of the lowest slot is returned. A thread that holds a slot does it in one after the
// other, where a wait that could not end is seen: it fails with kFailedPrecondition.
Status InEverySlot(SlotScheduler& slots, const std::function<Status(size_t slot)>& work);

}  // namespace torchdeploy
