// A call as those see it that end it early.
#pragma once

#include "torchdeploy/status.h"

namespace torchdeploy {

// Thread-safe.
class EndableCall {
 public:
  EndableCall() = default;
  EndableCall(const EndableCall&) = delete;
  EndableCall& operator=(const EndableCall&) = delete;
  virtual ~EndableCall() = default;

  // Answers `status` unless there is an answer, and has what runs by then ended.
  virtual void EndEarly(const Status& status) = 0;
  // Interrupts what runs; false when nothing does, or not any more.
  virtual bool Interrupt() = 0;
  // To be called when it has been interrupted for long.
  virtual void LeaveBehind() = 0;
};

}  // namespace torchdeploy
