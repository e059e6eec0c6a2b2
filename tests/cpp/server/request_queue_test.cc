// The queue of one model: its order, its bound, and requests that end before their call.
#include "server/request_queue.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <dlpack/dlpack.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/timer.h"
#include "torchdeploy/interpreter_manager.h"
#include "torchdeploy/interpreter_session.h"
#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"
#include "torchdeploy/value.h"

#include "tests/cpp/runtime/fake_pool.h"

namespace torchdeploy::server {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

// What was answered, in that order. Thread-safe.
class Answers {
 public:
  Request::Done As(const std::string& name) {
    return [this, name](const Result<Value>& result, const RequestTimes& /*times*/) {
      const std::lock_guard lock(mutex_);
      answers_.push_back(name + ":" + std::to_string(static_cast<int>(result.status().code())));
    };
  }
  [[nodiscard]] std::vector<std::string> Get() const {
    const std::lock_guard lock(mutex_);
    return answers_;
  }
  void Await(size_t count) const {
    Eventually([&] { return Get().size() >= count; });
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> answers_;  // Guarded by mutex_.
};

class RequestQueueTest : public testing::Test {
 protected:
  explicit RequestQueueTest(int interpreters = 1) : manager_(MakeManager(interpreters)) {}

  std::shared_ptr<RequestQueue> QueueOf(const std::string& model, size_t most_waiting = 100) {
    return std::make_shared<RequestQueue>(LoadModel(*manager_, model + ".pkl"),
                                          QueueSettings{.most_waiting = most_waiting}, timer_);
  }

  Request Named(const std::string& name, uint64_t priority = 0) {
    return {.arguments = {{name}, {}}, .priority = priority, .done = answers_.As(name)};
  }

  // No interpreter is free until the session is dropped.
  std::optional<InterpreterSession> KeepBusy() { return *manager_->AcquireSession(); }

  Answers answers_;
  std::shared_ptr<Timer> timer_ = *Timer::Start();
  std::unique_ptr<InterpreterManager> manager_;
};

TEST_F(RequestQueueTest, RequestsAreAnsweredInOrderOfPriorityAndThenOfArrival) {
  const auto queue = QueueOf("echo");
  auto busy = KeepBusy();
  const std::vector<std::pair<std::string, uint64_t>> requests = {
      {"none", 0}, {"late", 9}, {"first", 1}, {"second", 1}, {"also none", 0}};
  for (const auto& [name, priority] : requests) {
    ASSERT_TRUE(queue->Submit(Named(name, priority)).ok());
  }
  EXPECT_EQ(queue->waiting(), 5U);
  busy.reset();
  answers_.Await(5);
  EXPECT_THAT(answers_.Get(),
              ElementsAre("first:0", "second:0", "late:0", "none:0", "also none:0"));
}

TEST_F(RequestQueueTest, RequestOverTheBoundIsRefusedAtOnceWithTheLength) {
  const auto queue = QueueOf("echo", 2);
  auto busy = KeepBusy();
  ASSERT_TRUE(queue->Submit(Named("a")).ok());
  ASSERT_TRUE(queue->Submit(Named("b")).ok());
  const Status refused = queue->Submit(Named("c")).status();
  EXPECT_EQ(refused.code(), Code::kResourceExhausted);
  EXPECT_THAT(refused.message(), HasSubstr("2 requests are waiting"));
  busy.reset();
  answers_.Await(2);
  EXPECT_THAT(answers_.Get(), ElementsAre("a:0", "b:0"));
  EXPECT_TRUE(queue->Submit(Named("d")).ok());
  answers_.Await(3);
}

TEST_F(RequestQueueTest, RequestThatEndsWhileItWaitsIsNeverRun) {
  const auto queue = QueueOf("count");
  auto busy = KeepBusy();
  const auto before =
      IntegerOf(*busy->FromMovable(LoadModel(*manager_, "count.pkl"))->Call({})->ToValue());
  const auto ticket = queue->Submit(Named("gone"));
  ASSERT_TRUE(ticket.ok());
  ticket->EndEarly({Code::kCancelled, "enough"});
  EXPECT_THAT(answers_.Get(), ElementsAre("gone:1"));
  EXPECT_EQ(queue->waiting(), 0U);
  ticket->EndEarly({Code::kCancelled, "again"});
  busy.reset();
  ASSERT_TRUE(queue->Submit(Named("next")).ok());
  answers_.Await(2);
  EXPECT_THAT(answers_.Get(), ElementsAre("gone:1", "next:0"));
  EXPECT_EQ(IntegerOf(*LoadModel(*manager_, "count.pkl").Call({})), before + 2);
}

TEST_F(RequestQueueTest, RequestThatEndsWhileItRunsIsInterrupted) {
  const auto queue = QueueOf("loop");
  const auto ticket = queue->Submit(Named("endless"));
  ASSERT_TRUE(ticket.ok());
  Eventually([&] { return queue->waiting() == 0; });
  ticket->EndEarly({Code::kCancelled, "enough"});
  EXPECT_THAT(answers_.Get(), ElementsAre("endless:1"));
  EXPECT_TRUE(LoadModel(*manager_, "echo.pkl").Call({1}).ok());
}

TEST_F(RequestQueueTest, TimeoutEndsARequestWhereverItIs) {
  const auto queue = QueueOf("loop");
  for (const std::string name : {"runs", "waits"}) {
    Request request = Named(name);
    request.deadline = std::chrono::steady_clock::now() + milliseconds(30);
    ASSERT_TRUE(queue->Submit(std::move(request)).ok());
  }
  answers_.Await(2);
  EXPECT_THAT(answers_.Get(), UnorderedElementsAre("runs:4", "waits:4"));
  Request late = Named("late");
  late.deadline = std::chrono::steady_clock::now() - milliseconds(1);
  EXPECT_EQ(queue->Submit(std::move(late)).status().code(), Code::kDeadlineExceeded);
  EXPECT_TRUE(LoadModel(*manager_, "echo.pkl").Call({1}).ok());
}

TEST_F(RequestQueueTest, ModelsTakeTurnsWhateverWaits) {
  const auto flooded = QueueOf("echo");
  const auto quiet = QueueOf("echo");
  auto busy = KeepBusy();
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(flooded->Submit(Named("flood")).ok());
  }
  ASSERT_TRUE(quiet->Submit(Named("quiet")).ok());
  busy.reset();
  answers_.Await(51);
  const std::vector<std::string> answers = answers_.Get();
  EXPECT_THAT(answers.at(1), "quiet:0");
}

TEST_F(RequestQueueTest, WhatWaitsWhenTheManagerClosesIsAnswered) {
  const auto queue = QueueOf("echo");
  auto busy = KeepBusy();
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(queue->Submit(Named("r")).ok());
  }
  std::thread closing([&] { manager_->Close(); });
  Eventually([&] {
    return LoadModel(*manager_, "echo.pkl")
               .Call({1}, {}, {.deadline = std::chrono::steady_clock::now() + milliseconds(1)})
               .status()
               .code() == Code::kUnavailable;
  });
  busy.reset();
  closing.join();
  answers_.Await(3);
  EXPECT_THAT(answers_.Get(), UnorderedElementsAre("r:0", "r:14", "r:14"));
  ASSERT_TRUE(queue->Submit(Named("s")).ok());
  EXPECT_THAT(answers_.Get().back(), "s:14");
}

// Rows of a float32 tensor "x" for the fake engine's "double", and what came of them.
class BatchTest : public RequestQueueTest {
 protected:
  std::shared_ptr<RequestQueue> BatchingQueue(BatchSettings batching,
                                              const std::string& model = "double") {
    return std::make_shared<RequestQueue>(LoadModel(*manager_, model + ".pkl"),
                                          QueueSettings{.batching = std::move(batching)}, timer_);
  }

  Request RowsOfX(const std::vector<float>& x) {
    return {.arguments = {{}, {{"x", MakeTensor(x)}}},
            .done = [this](const Result<Value>& result, const RequestTimes& /*times*/) {
              const std::lock_guard lock(mutex_);
              results_.push_back(result.ok() ? ElementsOf(result->get<Dict>()->at(0).second)
                                             : std::vector<float>());
            }};
  }

  void SubmitAll(RequestQueue& queue, const std::vector<std::vector<float>>& requests) {
    for (const std::vector<float>& x : requests) {
      ASSERT_TRUE(queue.Submit(RowsOfX(x)).ok());
    }
  }

  std::vector<std::vector<float>> AwaitResults(size_t count) {
    Eventually([&] { return Results().size() >= count; });
    return Results();
  }

  // Of models in the manager's interpreter, this one not counted.
  int64_t Calls() { return IntegerOf(*LoadModel(*manager_, "count.pkl").Call({})) - ++asked_; }

  std::vector<std::vector<float>> Results() {
    const std::lock_guard lock(mutex_);
    return results_;
  }

 private:
  int64_t asked_ = 0;
  std::mutex mutex_;
  std::vector<std::vector<float>> results_;  // Guarded by mutex_.
};

TEST_F(BatchTest, RequestsThatWaitTogetherAreOneCallAndEachGetsItsRows) {
  const auto queue = BatchingQueue({.most_rows = 8});
  const int64_t before = Calls();
  auto busy = KeepBusy();
  SubmitAll(*queue, {{1}, {2, 3}, {4}});
  busy.reset();
  EXPECT_THAT(AwaitResults(3), ElementsAre(ElementsAre(2), ElementsAre(4, 6), ElementsAre(8)));
  EXPECT_EQ(Calls(), before + 1);
}

TEST_F(BatchTest, NoBatchHasMoreRowsThanAllowed) {
  const auto queue = BatchingQueue({.most_rows = 4});
  const int64_t before = Calls();
  auto busy = KeepBusy();
  SubmitAll(*queue, {{1, 2, 3}, {4, 5}, {6}, {7}, {8}});
  const Status refused = queue->Submit(RowsOfX({1, 2, 3, 4, 5})).status();
  EXPECT_EQ(refused.code(), Code::kInvalidArgument);
  EXPECT_THAT(refused.message(), HasSubstr("5 rows; the model takes 4"));
  busy.reset();
  AwaitResults(5);
  EXPECT_EQ(Calls(), before + 3);  // 3; 2 + 1 + 1; 1.
}

TEST_F(BatchTest, RequestsOfOtherShapesAreOtherCalls) {
  const auto queue = BatchingQueue({.most_rows = 8}, "echo");
  const int64_t before = Calls();
  auto busy = KeepBusy();
  for (const int64_t columns : {2, 3, 2}) {
    ASSERT_TRUE(
        queue
            ->Submit(
                {.arguments = {{}, {{"x", *Tensor::Allocate({kDLFloat, 32, 1}, {1, columns})}}},
                 .done = answers_.As(std::to_string(columns))})
            .ok());
  }
  busy.reset();
  answers_.Await(3);
  EXPECT_THAT(answers_.Get(), ElementsAre("2:0", "2:0", "3:0"));
  EXPECT_EQ(Calls(), before + 2);
}

TEST_F(BatchTest, OneBadRequestFailsAlone) {
  const auto queue = BatchingQueue({.most_rows = 8});
  auto busy = KeepBusy();
  SubmitAll(*queue, {{1}, {std::nanf("")}, {3}});
  busy.reset();
  EXPECT_THAT(AwaitResults(3), ElementsAre(ElementsAre(2), IsEmpty(), ElementsAre(6)));
}

TEST_F(BatchTest, RequestWaitsForOthersNoLongerThanTheDelay) {
  const auto queue = BatchingQueue({.most_rows = 2, .delay = milliseconds(50)});
  const int64_t before = Calls();
  SubmitAll(*queue, {{1}});
  EXPECT_EQ(queue->waiting(), 1U);
  AwaitResults(1);
  EXPECT_EQ(Calls(), before + 1);
}

TEST_F(BatchTest, FullBatchDoesNotWaitForTheDelay) {
  const auto queue = BatchingQueue({.most_rows = 2, .delay = std::chrono::hours(1)});
  const int64_t before = Calls();
  SubmitAll(*queue, {{1}, {2}});
  AwaitResults(2);
  EXPECT_EQ(Calls(), before + 1);
}

TEST_F(BatchTest, PreferredSizeDoesNotWaitEitherAndTheRestGoesIntoTheNextCall) {
  const auto queue =
      BatchingQueue({.most_rows = 8, .delay = std::chrono::hours(1), .preferred_rows = {2, 4}});
  const int64_t before = Calls();
  auto busy = KeepBusy();
  SubmitAll(*queue, {{1}, {2}, {3}, {4}, {5}});
  busy.reset();
  AwaitResults(4);
  EXPECT_EQ(queue->waiting(), 1U);
  EXPECT_EQ(Calls(), before + 1);
  SubmitAll(*queue, {{6}});
  AwaitResults(6);
  EXPECT_EQ(Calls(), before + 2);
}

TEST_F(BatchTest, RequestThatLeavesItsBatchDoesNotEndTheOthers) {
  const auto queue = BatchingQueue({.most_rows = 8}, "loop");
  const int64_t before = Calls();
  auto busy = KeepBusy();
  std::vector<RequestQueue::Ticket> tickets;
  for (const std::string name : {"a", "b"}) {
    Request request = RowsOfX({1});
    request.done = answers_.As(name);
    tickets.push_back(*queue->Submit(std::move(request)));
  }
  busy.reset();
  Eventually([&] { return queue->waiting() == 0; });
  tickets[0].EndEarly({Code::kCancelled, "enough"});
  EXPECT_THAT(answers_.Get(), ElementsAre("a:1"));
  tickets[1].EndEarly({Code::kCancelled, "enough"});  // The last: the call is interrupted.
  EXPECT_THAT(answers_.Get(), ElementsAre("a:1", "b:1"));
  EXPECT_LE(Calls(), before + 1);  // Not once more for "b" alone; none, if it had not begun.
}

TEST_F(BatchTest, WhoIsDueDoesNotWaitForWhoIsNot) {
  const auto queue = BatchingQueue({.most_rows = 2, .delay = std::chrono::hours(1)});
  SubmitAll(*queue, {{1}});  // Of its kind alone.
  Request other = RowsOfX({});
  other.arguments = {{*Tensor::Allocate({kDLFloat, 32, 1}, {0, 3})}, {}};  // To be called alone.
  ASSERT_TRUE(queue->Submit(std::move(other)).ok());
  AwaitResults(1);
  for (int i = 0; i < 2; ++i) {  // A full batch of another kind.
    Request wide = RowsOfX({});
    wide.arguments = {{}, {{"x", *Tensor::Allocate({kDLFloat, 32, 1}, {1, 3})}}};
    ASSERT_TRUE(queue->Submit(std::move(wide)).ok());
  }
  AwaitResults(3);
  EXPECT_EQ(queue->waiting(), 1U);
}

TEST_F(BatchTest, WhoIsBehindARequestThatEndsIsNotForgotten) {
  const auto queue = BatchingQueue({.most_rows = 8, .delay = std::chrono::hours(1)});
  Request urgent = RowsOfX({1, 2, 3, 4, 5});
  urgent.priority = 1;
  const auto ticket = queue->Submit(std::move(urgent));
  ASSERT_TRUE(ticket.ok());
  ticket->EndEarly({Code::kCancelled, "enough"});
  SubmitAll(*queue, {{1, 2, 3, 4}, {1, 2, 3, 4}});
  AwaitResults(3);
  EXPECT_EQ(queue->waiting(), 0U);
}

TEST_F(BatchTest, ABatchThatNobodyCanJoinAnyMoreDoesNotWait) {
  const auto queue = BatchingQueue({.most_rows = 4, .delay = std::chrono::hours(1)});
  SubmitAll(*queue, {{1, 2, 3}, {4, 5}});
  AwaitResults(1);
  EXPECT_EQ(queue->waiting(), 1U);
}

TEST_F(BatchTest, ABatchIsNotCutBelowEveryPreferredSize) {
  const auto queue =
      BatchingQueue({.most_rows = 8, .delay = std::chrono::hours(1), .preferred_rows = {4}});
  const int64_t before = Calls();
  auto busy = KeepBusy();
  SubmitAll(*queue, {{1, 2, 3}, {4, 5, 6}});
  busy.reset();
  AwaitResults(2);
  EXPECT_EQ(Calls(), before + 1);
}

TEST_F(BatchTest, NobodyWaitsForOthersInAHurry) {
  const auto queue = BatchingQueue({.most_rows = 8, .delay = std::chrono::hours(1)});
  SubmitAll(*queue, {{1}});
  queue->Hurry();
  AwaitResults(1);
  SubmitAll(*queue, {{2}});
  AwaitResults(2);
}

class TwoInterpretersTest : public RequestQueueTest {
 protected:
  TwoInterpretersTest() : RequestQueueTest(2) {}

  // Submits requests of `make(i)`, a part of which end early, on four threads.
  void SubmitAndEndSome(RequestQueue& queue, const std::function<Request(int)>& make) {
    constexpr int kThreads = 4;
    constexpr int kRequests = 300;
    std::vector<int> accepted(kThreads * kRequests);
    std::vector<std::atomic<int>> answers(kThreads * kRequests);
    const auto submit = [&](int thread) {
      for (int i = 0; i < kRequests; ++i) {
        const auto number = static_cast<size_t>(thread * kRequests + i);
        Request request = make(i);
        request.done = [&answers, number](const Result<Value>&, const RequestTimes&) {
          ++answers[number];
        };
        const auto ticket = queue.Submit(std::move(request));
        accepted[number] = ticket.ok() ? 1 : 0;
        if (ticket.ok() && i % 4 == thread) {
          ticket->EndEarly({Code::kCancelled, "enough"});
        }
      }
    };
    std::vector<std::thread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back(submit, thread);
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    Eventually([&] { return std::equal(accepted.begin(), accepted.end(), answers.begin()); });
    EXPECT_GT(std::count(accepted.begin(), accepted.end(), 1), 40);
    EXPECT_EQ(queue.waiting(), 0U);
    manager_->Close();  // Nobody is left who could answer twice.
    EXPECT_TRUE(std::equal(accepted.begin(), accepted.end(), answers.begin()));
  }
};

TEST_F(TwoInterpretersTest, EveryRequestHasOneAnswerWhateverEndsIt) {
  SubmitAndEndSome(*QueueOf("sleep", 40), [](int i) {
    Request request;
    request.arguments.positional = {i % 2};
    request.priority = static_cast<uint64_t>(i % 3);
    if (i % 5 == 0) {
      request.deadline = std::chrono::steady_clock::now() + milliseconds(1);
    }
    return request;
  });
}

TEST_F(TwoInterpretersTest, EveryRequestOfABatchHasOneAnswerWhateverEndsIt) {
  const auto queue = std::make_shared<RequestQueue>(
      LoadModel(*manager_, "double.pkl"),
      QueueSettings{.batching = {.most_rows = 4, .delay = std::chrono::microseconds(100)}}, timer_);
  SubmitAndEndSome(*queue, [](int i) {
    Request request;
    request.arguments.keywords = {{"x", MakeTensor({i % 7 == 0 ? std::nanf("") : 1})}};
    request.priority = static_cast<uint64_t>(i % 3);
    if (i % 5 == 0) {
      request.deadline = std::chrono::steady_clock::now() + milliseconds(1);
    }
    return request;
  });
}

}  // namespace
}  // namespace torchdeploy::server
