// Which tensors that leave can still be written to from inside.
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <utility>

#include <gtest/gtest.h>

#include "interpreter_lib/abi/interp_abi.h"

#include "tests/cpp/engine/engine_under_test.h"
#include "tests/cpp/engine/values.h"

namespace torchdeploy::testing {
namespace {

class AliasingTest : public ::testing::Test {
 protected:
  bool IsAliased(Outcome outcome) { return (outcome.value().flags & TD_VALUE_ALIASED) != 0; }

  EngineUnderTest& engine_ = EngineUnderTest::Get();
};

TEST_F(AliasingTest, FreshResultIsNotAliased) {
  EXPECT_FALSE(
      IsAliased(engine_.Call(engine_.Define("def f():\n    return torch.ones(3) + 1", "f"))));
  EXPECT_FALSE(IsAliased(engine_.Call(
      engine_.Define("def f():\n    return torch.ones(3, requires_grad=True).exp()", "f"))));
  EXPECT_FALSE(IsAliased(engine_.Call(engine_.Define(
      "def f():\n    return torch.ones(3)[1:].untyped_storage() and torch.ones(3)[1:]", "f"))));
}

TEST_F(AliasingTest, BufferIsAliased) {
  EXPECT_TRUE(IsAliased(engine_.Call(engine_.Define("b = torch.ones(3)\nf = lambda: b", "f"))));
  EXPECT_TRUE(IsAliased(engine_.Call(engine_.Define("b = torch.ones(3)\nf = lambda: b[1:]", "f"))));
}

TEST_F(AliasingTest, InputThatIsReturnedIsAliased) {
  EXPECT_TRUE(IsAliased(
      engine_.CallExpression("lambda x: x[1:]", {Arena::Tensor(FloatTensor({3}, {1, 2, 3}))})));
}

TEST_F(AliasingTest, MemoryOfNumpyOrOfAKeptStorageIsAliased) {
  EXPECT_TRUE(IsAliased(engine_.Call(
      engine_.Define("import numpy\na = numpy.ones(3)\nf = lambda: torch.from_numpy(a)", "f"))));
  EXPECT_TRUE(
      IsAliased(engine_.Call(engine_.Define("kept = []\ndef f():\n    x = torch.ones(3)\n    "
                                            "kept.append(x.untyped_storage())\n    return x",
                                            "f"))));
}

TEST_F(AliasingTest, OutputsThatShareMemoryAreBothAliased) {
  Outcome outcome = engine_.Call(
      engine_.Define("def f():\n    x = torch.ones(3)\n    return [x, x[1:], torch.ones(1)]", "f"));
  const td_sequence& items = outcome.value().as.sequence;
  EXPECT_EQ(items.items[0].flags, TD_VALUE_ALIASED);
  EXPECT_EQ(items.items[1].flags, TD_VALUE_ALIASED);
  EXPECT_EQ(items.items[2].flags, 0U);
}

TEST_F(AliasingTest, ObjectThatStaysInsideIsAliased) {
  const td_object kept = engine_.Eval("__import__('torch').ones(1)");
  td_value out{};
  td_error error{};
  ASSERT_EQ(engine_.api().to_value(engine_.engine(), kept, &out, &error), TD_OK);
  EXPECT_EQ(out.flags, TD_VALUE_ALIASED);
  engine_.api().free_value(engine_.engine(), &out);
}

// A model whose result's memory dies only when the interpreter collects it.
constexpr const char* kWatched = R"(
import weakref, threading, time
dead = []
def make():
    x = torch.ones(4)
    s = x.untyped_storage()
    weakref.finalize(s, dead.append, 1)
    return x
def deaths():
    return len(dead)
functions = (make, deaths)
)";

TEST_F(AliasingTest, DeleterOnlyQueuesAndTheNextEntryReleases) {
  const td_object functions = engine_.Define(kWatched, "functions");
  const td_object make =
      engine_.Call(engine_.Eval("lambda f: f[0]"), {Arena::Object(functions)}, {}, TD_WANT_OBJECT)
          .value()
          .as.object;
  const td_object deaths =
      engine_.Call(engine_.Eval("lambda f: f[1]"), {Arena::Object(functions)}, {}, TD_WANT_OBJECT)
          .value()
          .as.object;
  Outcome outcome = engine_.Call(make);
  DLManagedTensorVersioned* const tensor = std::exchange(outcome.value().as.tensor, nullptr);
  const int asked = engine_.releases_pending();
  EXPECT_EQ(engine_.Call(deaths).Show(), "0");
  tensor->deleter(tensor);
  EXPECT_EQ(engine_.releases_pending(), asked + 1);
  engine_.api().collect(engine_.engine());
  EXPECT_EQ(engine_.Call(deaths).Show(), "1");
}

TEST_F(AliasingTest, DeleterReturnsWhileAnotherThreadHoldsTheInterpreter) {
  Outcome outcome = engine_.CallExpression("lambda: __import__('torch').ones(1)");
  DLManagedTensorVersioned* const tensor = std::exchange(outcome.value().as.tensor, nullptr);
  // sys.setswitchinterval keeps the lock with the busy thread.
  const td_object busy = engine_.Define(R"(
import sys, time
def busy(_):
    interval = sys.getswitchinterval()
    sys.setswitchinterval(10)
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        pass
    sys.setswitchinterval(interval)
)",
                                        "busy");
  std::atomic<bool> finished = false;
  std::thread caller([&] {
    const Outcome done = engine_.Call(busy, {Arena::None()});
    finished = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  tensor->deleter(tensor);
  const td_object released = 12345678;
  engine_.api().release_object(engine_.engine(), released);
  EXPECT_FALSE(finished);
  caller.join();
}

}  // namespace
}  // namespace torchdeploy::testing
