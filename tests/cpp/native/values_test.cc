// What enters and leaves a TorchScript module.
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "torchdeploy/package.h"
#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"
#include "torchdeploy/value.h"

#include "tests/cpp/native/native_archives.h"

namespace torchdeploy {

namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Tensor Row() {
  return MakeTensor({1, 2}, {1, 2});
}

template <typename Element>
Tensor One(Element element, DLDataType dtype) {
  auto owner = std::make_shared<Element>(element);
  Element* const data = owner.get();
  return Tensor::View(data, dtype, {1}, std::move(owner));
}

Tensor Count(int64_t count) {
  return One(count, {kDLInt, 64, 1});
}

Tensor Flag() {
  return One(true, {kDLBool, 8, 1});
}

class NativeValuesTest : public ::testing::Test {
 protected:
  // What a method of kinds.pt gives.
  Result<Value> Call(const std::string& method, const std::vector<Value>& args) {
    return CallMethod(kinds_, method, args);
  }

  Status FailureOf(const std::string& method, const std::vector<Value>& args) {
    const Result<Value> result = Call(method, args);
    EXPECT_FALSE(result.ok()) << method;
    return result.status();
  }

 private:
  const Package kinds_ = LoadNative("kinds.pt");
};

TEST_F(NativeValuesTest, AModuleIsCalledByPositionAndByNameWithItsDefaults) {
  const ReplicatedObj model = LoadNativeModel("scaled.pt");
  EXPECT_THAT(ElementsOf(*model.Call({Row()})), ElementsAre(21));
  EXPECT_THAT(ElementsOf(*model.Call({Row(), 2.0})), ElementsAre(42));
  EXPECT_THAT(ElementsOf(*model.Call({Row()}, {{"factor", 3.0}})), ElementsAre(63));
  EXPECT_THAT(ElementsOf(*model.Call({}, {{"factor", int64_t{2}}, {"x", Row()}})), ElementsAre(42))
      << "an int is a float where one is expected";
}

TEST_F(NativeValuesTest, ArgumentsThatTheMethodDoesNotTakeAreNamedWithThoseThatItTakes) {
  const ReplicatedObj model = LoadNativeModel("scaled.pt");
  const auto message = [](const Result<Value>& result) {
    EXPECT_EQ(result.status().code(), Code::kInvalidArgument);
    return result.status().message();
  };
  EXPECT_THAT(message(model.Call({})),
              HasSubstr("forward() lacks the argument \"x\"; it takes x: Tensor, factor: float"));
  EXPECT_THAT(message(model.Call({Row()}, {{"scale", 2.0}})),
              HasSubstr("has no argument \"scale\""));
  EXPECT_THAT(message(model.Call({Row()}, {{"x", Row()}})),
              HasSubstr("got the argument \"x\" twice"));
  EXPECT_THAT(message(model.Call({Row(), 1.0, 2.0})), HasSubstr("got 3 arguments by position"));
  EXPECT_THAT(message(model.Call({Row(), std::string("much")})),
              HasSubstr("argument 1: is a value of type str; expected float"));
  EXPECT_THAT(message(model.Call({None()})), HasSubstr("argument 0"));
}

TEST_F(NativeValuesTest, TuplesAndDictsComeOut) {
  const Result<Value> both = CallMethod(LoadNative("scaled.pt"), "both", {Row()});
  ASSERT_TRUE(both.ok()) << both.status().ToString();
  const auto* const tuple = both->get<Tuple>();
  ASSERT_NE(tuple, nullptr);
  EXPECT_THAT(ElementsOf(tuple->items[0]), ElementsAre(2, 3));
  const auto* const dict = tuple->items[1].get<Dict>();
  ASSERT_NE(dict, nullptr);
  EXPECT_EQ(*dict->at(0).first.get<std::string>(), "twice");
  EXPECT_THAT(ElementsOf(dict->at(0).second), ElementsAre(2, 4));
}

TEST_F(NativeValuesTest, TextsEnterAsTextOrBytesAndComeOutAsText) {
  const ReplicatedObj model = LoadNativeModel("kinds.pt");
  const Result<Value> texts = model.Call({List{Bytes{"ab"}, std::string("c")}});
  ASSERT_TRUE(texts.ok()) << texts.status().ToString();
  const auto* const list = texts->get<List>();
  ASSERT_NE(list, nullptr);
  ASSERT_EQ(list->size(), 2U);
  EXPECT_EQ(*list->at(0).get<std::string>(), "AB");
  EXPECT_EQ(*list->at(1).get<std::string>(), "C");
}

TEST_F(NativeValuesTest, TextThatIsNoUtf8IsBytesAlsoInAnError) {
  const Value bytes = Bytes{"\xFF\xC0\x80"};
  const Result<Value> texts = LoadNativeModel("kinds.pt").Call({List{bytes, std::string("ß€𝄞")}});
  ASSERT_TRUE(texts.ok()) << texts.status().ToString();
  EXPECT_EQ(texts->get<List>()->at(0).get<Bytes>()->data, "\xFF\xC0\x80");
  EXPECT_EQ(*texts->get<List>()->at(1).get<std::string>(), "ß€𝄞");
  const Result<Value> failed = CallMethod(LoadNative("scaled.pt"), "fail", {bytes});
  EXPECT_EQ(failed.status().message(), "???");
}

TEST_F(NativeValuesTest, TensorsOfOneElementStandForNumbersAndRowsForListsOfThem) {
  const Value one = MakeTensor({3}, {1});
  const Result<Value> number = Call("numbers", {Count(3), one, Flag(), Count(2)});
  ASSERT_TRUE(number.ok()) << number.status().ToString();
  EXPECT_EQ(*number->get<double>(), 11);
  EXPECT_EQ(*Call("numbers", {int64_t{2}, 0.5, true, List{int64_t{4}}})->get<double>(), 5);
  const Tensor flag = Flag();
  EXPECT_EQ(*Call("numbers", {int64_t{1}, one, flag, List{}})->get<double>(), 3);
  EXPECT_THAT(FailureOf("numbers", {one, 0.5, true, List{}}).message(),
              HasSubstr("argument 0: is a value of type Tensor; expected int"))
      << "a float is no int, as a tensor either";
  EXPECT_THAT(FailureOf("numbers", {Row(), 0.5, true, List{}}).message(),
              HasSubstr("argument 0: is a value of type Tensor; expected int"));
}

TEST_F(NativeValuesTest, ADictOfTensorsEntersWithTheTypesThatAreDeclared) {
  const Value dict =
      Dict{{std::string("a"), MakeTensor({1}, {1})}, {std::string("bc"), MakeTensor({10}, {1})}};
  EXPECT_THAT(ElementsOf(*Call("total", {dict})), ElementsAre(21));
  EXPECT_TRUE(Call("total", {Dict{}}).ok());
  const Value numbers = Dict{{int64_t{1}, MakeTensor({1}, {1})}};
  EXPECT_THAT(FailureOf("total", {numbers}).message(), HasSubstr("expected str"));
}

TEST_F(NativeValuesTest, NamedTuplesEnterAndLeaveAsTuples) {
  const Value pair = Tuple{{MakeTensor({1}, {1}), MakeTensor({2}, {1})}};
  const Result<Value> swapped = Call("swapped", {pair});
  ASSERT_TRUE(swapped.ok()) << swapped.status().ToString();
  EXPECT_THAT(ElementsOf(swapped->get<Tuple>()->items[0]), ElementsAre(2));
  EXPECT_THAT(FailureOf("swapped", {Tuple{{MakeTensor({1}, {1})}}}).message(),
              HasSubstr("has 1 elements"));
}

TEST_F(NativeValuesTest, NoneIsTakenWhereItMayStand) {
  EXPECT_FALSE(*Call("maybe", {None()})->get<bool>());
  EXPECT_TRUE(*Call("maybe", {Row()})->get<bool>());
}

TEST_F(NativeValuesTest, BfloatsAndUnsignedIntegersCross) {
  EXPECT_EQ(Call("half", {Row()})->get<Tensor>()->dtype().code, kDLBfloat);
  const DLDataType wide = Call("wide", {Row()})->get<Tensor>()->dtype();
  EXPECT_EQ(wide.code, kDLUInt);
  EXPECT_EQ(wide.bits, 16);
}

TEST_F(NativeValuesTest, AnOutputThatIsAViewOfAnInputStaysAsItWasAtTheReturn) {
  const auto elements = std::make_shared<std::vector<float>>(std::vector<float>{1, 2});
  const Tensor input = Tensor::View(elements->data(), {kDLFloat, 32, 1}, {2}, elements);
  const Result<Value> first = LoadNativeModel("first.pt").Call({input});
  ASSERT_TRUE(first.ok());
  (*elements)[0] = 9;
  EXPECT_THAT(ElementsOf(*first), ElementsAre(1));
}

TEST_F(NativeValuesTest, ADeviceLeaves) {
  EXPECT_EQ(Call("place", {Row()})->get<Device>()->name, "cpu");
}

TEST_F(NativeValuesTest, WhatTheModelRaisesIsItsOwnError) {
  const Result<Value> result =
      CallMethod(LoadNative("scaled.pt"), "fail", {std::string("no such luck")});
  EXPECT_EQ(result.status().code(), Code::kUnknown);
  EXPECT_EQ(result.status().type(), "ValueError");
  EXPECT_EQ(result.status().message(), "no such luck");
  EXPECT_THAT(result.status().traceback(), HasSubstr("in fail"));
  const Result<Value> wrong_shape = LoadNativeModel("scaled.pt").Call({MakeTensor({1}, {1, 1})});
  EXPECT_EQ(wrong_shape.status().code(), Code::kUnknown);
  EXPECT_EQ(wrong_shape.status().type(), "RuntimeError");
  EXPECT_EQ(wrong_shape.status().message(),
            "mat1 and mat2 shapes cannot be multiplied (1x1 and 2x1)");
  EXPECT_THAT(wrong_shape.status().traceback(), HasSubstr("in forward"));
}

}  // namespace

}  // namespace torchdeploy
