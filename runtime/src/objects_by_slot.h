// One object in each interpreter of a pool.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>

#include "runtime/src/engine_object.h"

namespace torchdeploy {

// Thread-safe by slots: what At() gives is touched only by the thread that holds the slot.
class ObjectsBySlot {
 public:
  using Object = std::shared_ptr<const EngineObject>;

  // The object in the slot; null at first, and whenever the slot has another `lease` than before:
  // an object does not outlive the pool's lease of its interpreter.
  Object& At(size_t slot, uint64_t lease) {
    Entry& entry = EntryOf(slot);
    if (entry.lease != lease) {
      entry = {lease, nullptr};
    }
    return entry.object;
  }

  void Drop(size_t slot) { EntryOf(slot).object.reset(); }

 private:
  struct Entry {
    uint64_t lease = 0;
    Object object;
  };

  Entry& EntryOf(size_t slot) {
    const std::lock_guard lock(mutex_);
    while (entries_.size() <= slot) {
      entries_.emplace_back();
    }
    return entries_[slot];
  }

  std::mutex mutex_;
  std::deque<Entry> entries_;  // Which keeps its elements in place as it grows.
};

}  // namespace torchdeploy
