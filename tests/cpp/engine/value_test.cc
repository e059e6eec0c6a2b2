// Every kind of value, both ways.
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "interpreter_lib/abi/interp_abi.h"

#include "tests/cpp/engine/engine_under_test.h"
#include "tests/cpp/engine/values.h"

namespace torchdeploy::testing {
namespace {

// A literal with its NUL bytes.
template <size_t kSize>
std::string Exactly(const char (&literal)[kSize]) {
  return {literal, kSize - 1};
}

class ValueTest : public ::testing::Test {
 protected:
  // What Python says of a value that entered.
  std::string Repr(td_value value) { return engine_.CallExpression("repr", {value}).Show(); }

  EngineUnderTest& engine_ = EngineUnderTest::Get();
  Arena arena_;
};

TEST_F(ValueTest, ScalarsEnterAsPythonsOwn) {
  EXPECT_EQ(Repr(Arena::None()), "'None'");
  EXPECT_EQ(Repr(Arena::Bool(true)), "'True'");
  EXPECT_EQ(Repr(Arena::Bool(false)), "'False'");
  EXPECT_EQ(Repr(Arena::Int(std::numeric_limits<int64_t>::min())), "'-9223372036854775808'");
  EXPECT_EQ(Repr(Arena::Float(0.5)), "'0.5'");
  EXPECT_EQ(Repr(Arena::Complex(1, -2)), "'(1-2j)'");
}

TEST_F(ValueTest, TextAndBytesEnterWithNulBytes) {
  EXPECT_EQ(engine_
                .CallExpression("lambda s: s == 'd\\0\\u00e9\\U0001f600'",
                                {arena_.Str(Exactly("d\0\u00e9\U0001f600"))})
                .Show(),
            "True");
  EXPECT_EQ(engine_
                .CallExpression("lambda s: s == b'\\xff\\0'",
                                {arena_.Text(TD_KIND_BYTES, Exactly("\xff\0"))})
                .Show(),
            "True");
  EXPECT_EQ(Repr(arena_.Str("")), "''''");
}

TEST_F(ValueTest, DeviceDtypeAndLayoutEnterByName) {
  EXPECT_EQ(Repr(arena_.Text(TD_KIND_DEVICE, "cuda:1")), "'device(type='cuda', index=1)'");
  EXPECT_EQ(Repr(arena_.Text(TD_KIND_DTYPE, "bfloat16")), "'torch.bfloat16'");
  EXPECT_EQ(Repr(arena_.Text(TD_KIND_LAYOUT, "sparse_csr")), "'torch.sparse_csr'");
}

TEST_F(ValueTest, UnknownDtypeNamesItself) {
  Outcome outcome = engine_.CallExpression("repr", {arena_.Text(TD_KIND_DTYPE, "Tensor")});
  EXPECT_EQ(outcome.failure().code, TD_INVALID_ARGUMENT);
  EXPECT_EQ(outcome.failure().message, "argument 0: torch has no dtype \"Tensor\"");
}

TEST_F(ValueTest, ContainersEnterNestedAndInOrder) {
  const td_value dict =
      arena_.Dict({{arena_.Str("z"), arena_.List({Arena::Int(1), arena_.Tuple({})})},
                   {Arena::Int(-3), Arena::None()}});
  EXPECT_EQ(Repr(dict), "'{'z': [1, ()], -3: None}'");
}

TEST_F(ValueTest, ScalarsLeave) {
  EXPECT_EQ(engine_.Value("[None, True, False, 7, -1.5, 2-3j]").Show(),
            "[None, True, False, 7, -1.5f, 2+-3j]");
  EXPECT_EQ(engine_.Value("[2**63-1, -2**63]").Show(),
            "[9223372036854775807, -9223372036854775808]");
}

TEST_F(ValueTest, TextBytesAndTorchNamesLeave) {
  EXPECT_EQ(engine_.Value("['d\\0\\u00e9', b'\\xff\\0']").Show(),
            Exactly("['d\0\u00e9', b'\xff\0']"));
  EXPECT_EQ(engine_
                .Value("(lambda t: [t.device('cuda:1'), t.float8_e5m2, t.sparse_coo])"
                       "(__import__('torch'))")
                .Show(),
            "[device cuda:1, dtype float8_e5m2, layout sparse_coo]");
}

TEST_F(ValueTest, SubclassesLeaveAsWhatTheyDeriveFrom) {
  const td_object value = engine_.Define(R"(
import collections, enum
class Level(enum.IntEnum):
    HIGH = 3
class Name(str):
    pass
Pair = collections.namedtuple("Pair", "a b")
ordered = collections.OrderedDict(b=1, a=2)
ordered.move_to_end("b")
value = lambda: [Level.HIGH, Name("n"), Pair(1, 2), ordered, torch.Size([4, 5]),
                 torch.ones(2, 3).max(0)]
)",
                                         "value");
  EXPECT_EQ(engine_.Call(value).Show(),
            "[3, 'n', (1, 2), {'a': 2, 'b': 1}, (4, 5), (tensor(2.32, [3], [1]), "
            "tensor(0.64, [3], [1]))]");
}

TEST_F(ValueTest, NumpyLeavesAsTensorsScalarsAndLists) {
  EXPECT_EQ(engine_
                .Value("(lambda n: [n.float32(0.5), n.int8(3), n.bool_(True), n.complex64(1j),"
                       " n.arange(6).reshape(2, 3), n.array([b'a', b'bc']),"
                       " n.array([['x'], ['y']]), n.array([b'a', 'b', None], dtype=object),"
                       " n.arange(3)[::-1], n.arange(3, dtype='>i4'), n.float64(2.5)])"
                       "(__import__('numpy'))")
                .Show(),
            "[0.5f, 3, True, 0+1j, tensor(0.64, [2, 3], [3, 1]), [b'a', b'bc'], [['x'], ['y']], "
            "[b'a', 'b', None], tensor(0.64, [3], [1]), tensor(0.32, [3], [1]), 2.5f]");
}

struct Refused {
  std::string expression;
  std::string message;
};

TEST_F(ValueTest, WhatCannotCrossIsNamedWithItsPlace) {
  const std::vector<Refused> cases = {
      {"{'a': [1, {2}]}", "object[\"a\"][1]: builtins.set cannot cross; None, bool"},
      {"[2**63]", "object[0]: an int outside the 64-bit range cannot cross"},
      {"{7: {(1,): 2}}", "object[7]: a dict key of type builtins.tuple cannot cross; str and int"},
      {"{True: 1}", "object: a dict key of type builtins.bool cannot cross"},
      {"['\\ud800']", "object[0]: a str with a lone surrogate"},
      {"__import__('numpy').datetime64('2020-01-01')", "object: numpy.datetime64 cannot cross; of"},
      {"__import__('numpy').ma.array([1], mask=[True])", "a masked array would lose its mask"},
      {"__import__('numpy').zeros(1, dtype='M8[s]')", "torch has no dtype for numpy's"},
      {"__import__('numpy').longdouble(1)", "object: numpy.longdouble cannot cross; of"},
  };
  for (const Refused& refused : cases) {
    const Outcome outcome = engine_.Value(refused.expression);
    EXPECT_EQ(outcome.failure().code, TD_INVALID_ARGUMENT) << refused.expression;
    EXPECT_NE(outcome.failure().message.find(refused.message), std::string::npos)
        << outcome.failure().message;
  }
}

TEST_F(ValueTest, ValueThatContainsItselfIsRefused) {
  const td_object value = engine_.Define("value = []\nvalue.append(value)", "value");
  td_value out{};
  td_error error{};
  const td_code code = engine_.api().to_value(engine_.engine(), value, &out, &error);
  EXPECT_NE(engine_.Take(code, &error).message.find("contains itself"), std::string::npos);
  EXPECT_EQ(out.kind, TD_KIND_NONE);
}

TEST_F(ValueTest, DeepInputIsRefusedAndItsTensorReleased) {
  int deletions = 0;
  td_value value = Arena::Tensor(FloatTensor({1}, {1}, &deletions));
  for (int i = 0; i < 100000; ++i) {
    value = arena_.List({value});
  }
  const Outcome outcome = engine_.CallExpression("repr", {value});
  EXPECT_EQ(outcome.failure().code, TD_INVALID_ARGUMENT);
  EXPECT_NE(outcome.failure().message.find("nested deeper than 64"), std::string::npos);
  EXPECT_EQ(deletions, 1);
}

TEST_F(ValueTest, BadInputIsNamedWithItsPlace) {
  const td_object repr = engine_.Eval("lambda *a, **k: repr((a, k))");
  const Outcome text = engine_.Call(repr, {Arena::None(), arena_.List({arena_.Str("\xff")})});
  EXPECT_EQ(text.failure().message, "argument 1[0]: text that is not UTF-8");
  const Outcome key =
      engine_.Call(repr, {}, {{"x", arena_.Dict({{Arena::Float(1), Arena::None()}})}});
  EXPECT_EQ(key.failure().code, TD_INVALID_ARGUMENT);
  EXPECT_NE(key.failure().message.find("argument \"x\": a dict key"), std::string::npos);
  const Outcome twice = engine_.Call(repr, {}, {{"x", Arena::None()}, {"x", Arena::None()}});
  EXPECT_EQ(twice.failure().message, "argument \"x\" is given twice");
  const Outcome name = engine_.Call(repr, {}, {{"\xff", Arena::None()}});
  EXPECT_EQ(name.failure().code, TD_INVALID_ARGUMENT);
}

TEST_F(ValueTest, KeywordArgumentsArriveByName) {
  const td_object repr = engine_.Eval("lambda *a, **k: repr((a, k))");
  EXPECT_EQ(engine_.Call(repr, {Arena::Int(1)}, {{"\u00e9", Arena::Int(2)}}).Show(),
            "'((1,), {'\u00e9': 2})'");
}

TEST_F(ValueTest, ObjectsPassByIdentity) {
  const td_object marker = engine_.Eval("object()");
  EXPECT_EQ(
      engine_.CallExpression("lambda a, b: a is b", {Arena::Object(marker), Arena::Object(marker)})
          .Show(),
      "True");
}

}  // namespace
}  // namespace torchdeploy::testing
