// Order, hand-over, nesting, circles and closing of the scheduler, without an engine.
#include "runtime/src/slot_scheduler.h"

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "torchdeploy/status.h"

namespace torchdeploy {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A thread that runs what is posted to it.
class Worker {
 public:
  Worker() : thread_([this] { Run(); }) {}
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker() {
    Post(nullptr);
    thread_.join();
  }

  void Post(std::function<void()> work) {
    const std::lock_guard lock(mutex_);
    work_.push_back(std::move(work));
    changed_.notify_one();
    posts_.fetch_add(1);
  }
  [[nodiscard]] std::thread::id id() const { return thread_.get_id(); }
  [[nodiscard]] int posts() const { return posts_.load(); }

 private:
  void Run() {
    for (;;) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return !work_.empty(); });
      const std::function<void()> work = std::move(work_.front());
      work_.pop_front();
      lock.unlock();
      if (work == nullptr) {
        return;
      }
      work();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> work_;
  std::atomic<int> posts_ = 0;
  std::thread thread_;
};

class SlotSchedulerTest : public ::testing::Test {
 protected:
  void Make(size_t slots) {
    std::vector<SlotScheduler::SlotThread> threads;
    for (size_t slot = 0; slot < slots; ++slot) {
      Worker* const worker = workers_.emplace_back(std::make_unique<Worker>()).get();
      threads.push_back(
          {worker->id(), [worker](std::function<void()> work) { worker->Post(std::move(work)); }});
    }
    scheduler_ = std::make_shared<SlotScheduler>(std::move(threads));
  }

  size_t MustAcquire(std::optional<size_t> wanted = {}) {
    const Result<size_t> slot = scheduler_->Acquire(wanted);
    EXPECT_TRUE(slot.ok()) << slot.status().ToString();
    return slot.ok() ? *slot : 0;
  }

  void Submit(SlotScheduler::Job job, std::optional<size_t> wanted = {}) {
    const Status status = scheduler_->Submit(job, wanted);
    EXPECT_TRUE(status.ok()) << status.ToString();
  }

  void AwaitWaiting(size_t count) {
    while (scheduler_->waiting() != count) {
      std::this_thread::yield();
    }
  }

  // Acquires on a thread of its own, which runs `work` with the slot and releases it.
  std::future<Status> AcquireElsewhere(std::optional<size_t> wanted,
                                       std::function<void(size_t)> work = {}) {
    return std::async(std::launch::async, [this, wanted, work = std::move(work)]() -> Status {
      const Result<size_t> slot = scheduler_->Acquire(wanted);
      if (slot.ok()) {
        if (work) {
          work(*slot);
        }
        scheduler_->Release(*slot);
      }
      return slot.status();
    });
  }

  std::vector<std::unique_ptr<Worker>> workers_;
  std::shared_ptr<SlotScheduler> scheduler_;
};

TEST_F(SlotSchedulerTest, FreeSlotsAreTakenAtOnce) {
  Make(3);
  EXPECT_EQ(MustAcquire(), 0U);
  EXPECT_EQ(MustAcquire(2), 2U);
  EXPECT_EQ(MustAcquire(), 1U);
  for (size_t slot = 0; slot < 3; ++slot) {
    scheduler_->Release(slot);
  }
}

TEST_F(SlotSchedulerTest, ThreadsAndJobsAreServedInOrderOfArrival) {
  Make(1);
  std::vector<int> order;  // Guarded by the slot.
  const size_t held = MustAcquire();
  std::vector<std::future<Status>> callers;
  for (int i = 0; i < 8; i += 2) {
    callers.push_back(AcquireElsewhere(i % 4 == 0 ? std::optional<size_t>(0) : std::nullopt,
                                       [&order, i](size_t) { order.push_back(i); }));
    AwaitWaiting(static_cast<size_t>(i) + 1);
    Submit([&order, i](size_t) { order.push_back(i + 1); },
           i % 4 == 0 ? std::nullopt : std::optional<size_t>(0));
  }
  scheduler_->Release(held);
  scheduler_->Close();
  EXPECT_THAT(order, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
}

TEST_F(SlotSchedulerTest, ReleasedSlotSkipsThoseWhoWantAnother) {
  Make(2);
  MustAcquire(0);
  MustAcquire(1);
  std::atomic<bool> first_ran = false;
  std::future<Status> wants_zero = AcquireElsewhere(0, [&](size_t) { first_ran = true; });
  AwaitWaiting(1);
  std::future<Status> wants_any = AcquireElsewhere({}, [&](size_t slot) { EXPECT_EQ(slot, 1U); });
  AwaitWaiting(2);
  scheduler_->Release(1);
  EXPECT_TRUE(wants_any.get().ok());
  EXPECT_FALSE(first_ran);
  scheduler_->Release(0);
  EXPECT_TRUE(wants_zero.get().ok());
}

TEST_F(SlotSchedulerTest, ReleasedSlotGoesToTheWaiterAndNotToALateComer) {
  Make(1);
  MustAcquire();
  std::promise<void> finish;
  std::future<Status> waiter = AcquireElsewhere({}, [&](size_t) { finish.get_future().wait(); });
  AwaitWaiting(1);
  scheduler_->Release(0);
  std::atomic<bool> late_ran = false;
  std::future<Status> late = AcquireElsewhere({}, [&](size_t) { late_ran = true; });
  AwaitWaiting(1);  // Although the waiter may not have woken yet.
  EXPECT_FALSE(late_ran);
  finish.set_value();
  EXPECT_TRUE(waiter.get().ok());
  EXPECT_TRUE(late.get().ok());
}

TEST_F(SlotSchedulerTest, JobRunsOnTheThreadOfItsSlot) {
  Make(2);
  std::promise<std::thread::id> ran_on;
  Submit(
      [&](size_t slot) {
        EXPECT_EQ(slot, 1U);
        ran_on.set_value(std::this_thread::get_id());
      },
      1);
  EXPECT_EQ(ran_on.get_future().get(), workers_[1]->id());
  scheduler_->Close();
}

TEST_F(SlotSchedulerTest, WaitingJobsFollowEachOtherWithoutAHandOver) {
  Make(1);
  MustAcquire();
  std::atomic<int> ran = 0;
  for (int i = 0; i < 10; ++i) {
    Submit([&](size_t) { ++ran; });
  }
  scheduler_->Release(0);
  scheduler_->Close();
  EXPECT_EQ(ran, 10);
  EXPECT_EQ(workers_[0]->posts(), 1);
}

TEST_F(SlotSchedulerTest, RemovedSlotFirstServesThoseWhoWaitForIt) {
  Make(2);
  MustAcquire(1);
  std::vector<int> order;  // Guarded by slot 1.
  std::future<Status> thread = AcquireElsewhere(1, [&](size_t) { order.push_back(0); });
  AwaitWaiting(1);
  Submit([&](size_t) { order.push_back(1); }, 1);
  std::future<Status> removed =
      std::async(std::launch::async, [&] { return scheduler_->Remove(1); });
  SlotScheduler::Job nothing = [](size_t) {};
  while (scheduler_->Submit(nothing, 1).ok()) {
    nothing = [](size_t) {};
  }
  scheduler_->Release(1);
  EXPECT_TRUE(removed.get().ok());
  EXPECT_TRUE(thread.get().ok());
  EXPECT_THAT(order, ElementsAre(0, 1));
  EXPECT_EQ(scheduler_->size(), 1U);
}

TEST_F(SlotSchedulerTest, SlotOfAJobThatNeverEndsIsTakenAway) {
  Make(1);
  std::promise<void> started;
  std::promise<void> finish;
  Submit([&](size_t) {
    started.set_value();
    finish.get_future().wait();
  });
  started.get_future().wait();
  std::promise<std::thread::id> ran_on;
  Submit([&](size_t) { ran_on.set_value(std::this_thread::get_id()); });
  Worker other;
  scheduler_->Replace(
      0, {other.id(), [&](std::function<void()> work) { other.Post(std::move(work)); }});
  EXPECT_EQ(ran_on.get_future().get(), other.id());
  EXPECT_EQ(MustAcquire(), 0U);
  finish.set_value();
  workers_[0].reset();  // The late job has ended and has not given away what it does not hold.
  std::future<Status> next = AcquireElsewhere(0);
  AwaitWaiting(1);
  scheduler_->Release(0);
  EXPECT_TRUE(next.get().ok());
}

TEST_F(SlotSchedulerTest, JobSubmittedByAJobRuns) {
  Make(1);
  std::promise<void> second_ran;
  Submit([&](size_t) { Submit([&](size_t) { second_ran.set_value(); }); });
  second_ran.get_future().wait();
  scheduler_->Close();
}

TEST_F(SlotSchedulerTest, ThreadGetsASlotAgainThatItHolds) {
  Make(1);
  EXPECT_EQ(MustAcquire(), 0U);
  EXPECT_EQ(MustAcquire(0), 0U);
  std::future<Status> other = AcquireElsewhere({});
  AwaitWaiting(1);
  scheduler_->Release(0);
  EXPECT_EQ(scheduler_->waiting(), 1U);  // Still held once.
  scheduler_->Release(0);
  EXPECT_TRUE(other.get().ok());
}

TEST_F(SlotSchedulerTest, WaitingForWhatThisThreadHoldsFailsAtOnce) {
  Make(2);
  MustAcquire();
  MustAcquire();
  const Result<size_t> third = scheduler_->Acquire({});
  ASSERT_FALSE(third.ok());
  EXPECT_EQ(third.status().code(), Code::kFailedPrecondition);
  EXPECT_THAT(third.status().message(), HasSubstr("another interpreter could not end"));
  scheduler_->Release(0);
  scheduler_->Release(1);
}

TEST_F(SlotSchedulerTest, OneOfTwoThreadsThatWaitForEachOtherFails) {
  Make(2);
  MustAcquire(0);
  std::promise<void> has_one;
  std::future<Status> other = std::async(std::launch::async, [&]() -> Status {
    MustAcquire(1);
    has_one.set_value();
    const Result<size_t> zero = scheduler_->Acquire(0);
    if (zero.ok()) {
      scheduler_->Release(0);
    }
    scheduler_->Release(1);
    return zero.status();
  });
  has_one.get_future().wait();
  AwaitWaiting(1);
  const Result<size_t> one = scheduler_->Acquire(1);
  EXPECT_EQ(one.status().code(), Code::kFailedPrecondition);
  EXPECT_THAT(one.status().message(), HasSubstr("interpreter 1 could not end"));
  scheduler_->Release(0);
  EXPECT_TRUE(other.get().ok());
}

TEST_F(SlotSchedulerTest, CircleOfThreeThreadsIsSeen) {
  Make(3);
  MustAcquire(0);
  std::array<std::promise<void>, 2> holds;
  std::vector<std::future<Status>> others;
  for (size_t slot = 1; slot < 3; ++slot) {
    others.push_back(std::async(std::launch::async, [&, slot]() -> Status {
      MustAcquire(slot);
      holds[slot - 1].set_value();
      const size_t next = slot - 1;  // 1 waits for 0, and 2 for 1.
      const Result<size_t> got = scheduler_->Acquire(next);
      if (got.ok()) {
        scheduler_->Release(next);
      }
      scheduler_->Release(slot);
      return got.status();
    }));
    holds[slot - 1].get_future().wait();
  }
  AwaitWaiting(2);
  EXPECT_EQ(scheduler_->Acquire(2).status().code(), Code::kFailedPrecondition);
  scheduler_->Release(0);
  EXPECT_TRUE(others[0].get().ok());
  EXPECT_TRUE(others[1].get().ok());
}

TEST_F(SlotSchedulerTest, HolderMayWaitForAThreadThatIsNotWaiting) {
  Make(2);
  MustAcquire(0);
  std::promise<void> holds;
  std::promise<void> finish;
  std::future<Status> other = AcquireElsewhere(1, [&](size_t) {
    holds.set_value();
    finish.get_future().wait();
  });
  holds.get_future().wait();
  const std::jthread finisher([&] {
    AwaitWaiting(1);
    finish.set_value();
  });
  EXPECT_EQ(MustAcquire(), 1U);
  scheduler_->Release(1);
  scheduler_->Release(0);
  EXPECT_TRUE(other.get().ok());
}

TEST_F(SlotSchedulerTest, HolderMayWaitForAWaiterThatAThirdThreadWillServe) {
  Make(3);
  MustAcquire(0);
  std::promise<void> third_holds;
  std::promise<void> finish;
  std::future<Status> third = AcquireElsewhere(2, [&](size_t) {
    third_holds.set_value();
    finish.get_future().wait();
  });
  third_holds.get_future().wait();
  std::future<void> second = std::async(std::launch::async, [&] {
    MustAcquire(1);
    const size_t got = MustAcquire();  // Waits for 0, held by a waiter, or 2, which runs.
    scheduler_->Release(got);
    scheduler_->Release(1);
  });
  AwaitWaiting(1);
  const std::jthread finisher([&] {
    AwaitWaiting(2);
    finish.set_value();
  });
  EXPECT_EQ(MustAcquire(1), 1U);
  scheduler_->Release(1);
  scheduler_->Release(0);
  second.get();
  EXPECT_TRUE(third.get().ok());
}

TEST_F(SlotSchedulerTest, CloseRefusesTheNewAndServesTheAccepted) {
  Make(1);
  std::promise<void> holds;
  std::promise<void> finish;
  std::future<Status> holder = AcquireElsewhere({}, [&](size_t) {
    holds.set_value();
    finish.get_future().wait();
  });
  holds.get_future().wait();
  std::future<Status> accepted = AcquireElsewhere({});
  AwaitWaiting(1);
  std::atomic<bool> job_ran = false;
  Submit([&](size_t) { job_ran = true; });
  std::future<void> closing = std::async(std::launch::async, [&] { scheduler_->Close(); });
  SlotScheduler::Job late;
  do {  // Until Close() has begun.
    late = [](size_t) {};
  } while (scheduler_->Submit(late, 0).ok());
  EXPECT_NE(late, nullptr);
  EXPECT_EQ(scheduler_->Acquire({}).status().code(), Code::kUnavailable);
  EXPECT_EQ(closing.wait_for(std::chrono::milliseconds(20)), std::future_status::timeout);
  finish.set_value();
  closing.get();
  EXPECT_TRUE(holder.get().ok());
  EXPECT_TRUE(accepted.get().ok());
  EXPECT_TRUE(job_ran);
}

TEST_F(SlotSchedulerTest, WhatAJobHoldsIsGoneWhenCloseReturns) {
  Make(1);
  auto captured = std::make_shared<int>(0);
  const std::weak_ptr<int> watched = captured;
  Submit([captured = std::move(captured)](size_t) {});
  scheduler_->Close();
  EXPECT_TRUE(watched.expired());
}

TEST_F(SlotSchedulerTest, NoTwoThreadsAndJobsEverHoldOneSlot) {
  constexpr size_t kSlots = 8;
  constexpr int kThreads = 16;
  constexpr int kRounds = 200;
  Make(kSlots);
  std::array<std::atomic<int>, kSlots> users{};
  std::atomic<int> ran = 0;
  const auto use = [&](size_t slot) {
    EXPECT_EQ(users[slot].fetch_add(1), 0);
    std::this_thread::yield();
    users[slot].fetch_sub(1);
    ++ran;
  };
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < kRounds; ++i) {
        const std::optional<size_t> wanted =
            (t + i) % 3 == 0 ? std::optional<size_t>((t * 7 + i) % kSlots) : std::nullopt;
        if ((t + i) % 2 == 0) {
          Submit(use, wanted);
        } else {
          const size_t slot = MustAcquire(wanted);
          use(slot);
          scheduler_->Release(slot);
        }
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  scheduler_->Close();
  EXPECT_EQ(ran, kThreads * kRounds);
}

TEST_F(SlotSchedulerTest, ThreadsThatTakeTwoSlotsAtRandomNeverLockUp) {
  constexpr size_t kSlots = 3;
  Make(kSlots);
  std::atomic<int> refused = 0;
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < 300; ++i) {
        const size_t first = MustAcquire((t + i) % kSlots);
        const Result<size_t> second = scheduler_->Acquire((t * 5 + i * 7 + 1) % kSlots);
        std::this_thread::yield();
        if (second.ok()) {
          scheduler_->Release(*second);
        } else {
          EXPECT_EQ(second.status().code(), Code::kFailedPrecondition);
          ++refused;
        }
        scheduler_->Release(first);
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  scheduler_->Close();
}

using SlotSchedulerDeathTest = SlotSchedulerTest;

TEST_F(SlotSchedulerDeathTest, CloseAbortsOnAThreadThatHoldsASlot) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        Make(1);
        MustAcquire();
        scheduler_->Close();
      },
      "closed by a thread that holds a session");
}

}  // namespace
}  // namespace torchdeploy
