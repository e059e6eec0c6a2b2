// Both directions of the waist, checked on its raw structures.
#include "runtime/src/value_crossing.h"

#include <complex>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "interpreter_lib/abi/interp_abi.h"
#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"
#include "torchdeploy/value.h"

#include "tests/cpp/runtime/fake_pool.h"

namespace torchdeploy {
namespace {

using ::testing::HasSubstr;

std::string TextOf(const td_value& value) {
  return {value.as.text.data, value.as.text.size_bytes};
}

TEST(ValueCrossingTest, ScalarsAreLaidOutByKind) {
  LaidOutValues values;
  td_value* const out = values.NewBlock(5);
  ASSERT_TRUE(values.LayOut(None(), out[0]).ok());
  ASSERT_TRUE(values.LayOut(true, out[1]).ok());
  ASSERT_TRUE(values.LayOut(int64_t{-5}, out[2]).ok());
  ASSERT_TRUE(values.LayOut(2.5, out[3]).ok());
  ASSERT_TRUE(values.LayOut(std::complex<double>(1, -2), out[4]).ok());
  EXPECT_EQ(out[0].kind, TD_KIND_NONE);
  EXPECT_EQ(out[1].kind, TD_KIND_BOOL);
  EXPECT_EQ(out[1].as.boolean, 1);
  EXPECT_EQ(out[2].kind, TD_KIND_INT);
  EXPECT_EQ(out[2].as.integer, -5);
  EXPECT_EQ(out[3].kind, TD_KIND_FLOAT);
  EXPECT_EQ(out[3].as.real, 2.5);
  EXPECT_EQ(out[4].kind, TD_KIND_COMPLEX);
  EXPECT_EQ(out[4].as.complex[1], -2);
}

TEST(ValueCrossingTest, TextKeepsNulBytesAndItsKind) {
  const std::string nul("a\0b", 3);
  const Value texts[] = {Value(nul), Value(Bytes{nul}), Value(Device{"cuda:0"}),
                         Value(Dtype{"float32"}), Value(Layout{"strided"})};
  const td_kind kinds[] = {TD_KIND_STR, TD_KIND_BYTES, TD_KIND_DEVICE, TD_KIND_DTYPE,
                           TD_KIND_LAYOUT};
  LaidOutValues values;
  td_value* const out = values.NewBlock(5);
  for (size_t i = 0; i < 5; ++i) {
    ASSERT_TRUE(values.LayOut(texts[i], out[i]).ok());
    EXPECT_EQ(out[i].kind, kinds[i]);
  }
  EXPECT_EQ(TextOf(out[0]), nul);
  EXPECT_EQ(TextOf(out[1]), nul);
  EXPECT_EQ(TextOf(out[2]), "cuda:0");
}

TEST(ValueCrossingTest, DictKeepsItsOrderAndNesting) {
  const Value dict(Dict{{Value("b"), Value(List{Value(1), Value(Tuple{{Value("x")}})})},
                        {Value(7), Value(Dict{})}});
  LaidOutValues values;
  td_value& out = *values.NewBlock(1);
  ASSERT_TRUE(values.LayOut(dict, out).ok());
  ASSERT_EQ(out.kind, TD_KIND_DICT);
  ASSERT_EQ(out.as.dict.size, 2U);
  EXPECT_EQ(TextOf(out.as.dict.keys[0]), "b");
  EXPECT_EQ(out.as.dict.keys[1].as.integer, 7);
  const td_value& list = out.as.dict.values[0];
  ASSERT_EQ(list.kind, TD_KIND_LIST);
  ASSERT_EQ(list.as.sequence.size, 2U);
  EXPECT_EQ(list.as.sequence.items[1].kind, TD_KIND_TUPLE);
  EXPECT_EQ(TextOf(list.as.sequence.items[1].as.sequence.items[0]), "x");
  EXPECT_EQ(out.as.dict.values[1].as.dict.size, 0U);

  const Result<Value> back = TakeValue(out, AliasedTensors::kShare);
  ASSERT_TRUE(back.ok());
  const auto& items = *back->get<Dict>();
  EXPECT_EQ(*items[0].first.get<std::string>(), "b");
  EXPECT_EQ(*items[1].first.get<int64_t>(), 7);
  EXPECT_EQ(*items[0].second.get<List>()->at(1).get<Tuple>()->items[0].get<std::string>(), "x");
  EXPECT_TRUE(items[1].second.is<Dict>());
}

TEST(ValueCrossingTest, DictKeyOfAnotherTypeIsRefused) {
  LaidOutValues values;
  const Status status = values.LayOut(Value(Dict{{Value("a"), Value(1)}, {Value(1.5), Value(2)}}),
                                      *values.NewBlock(1));
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("Key 1"));
}

TEST(ValueCrossingTest, TensorThatNoEngineTookIsDropped) {
  auto owner = std::make_shared<int>(0);
  const std::weak_ptr<int> watched = owner;
  float data = 0;
  {
    LaidOutValues values;
    td_value* const out = values.NewBlock(2);
    ASSERT_TRUE(
        values.LayOut(Tensor::View(&data, {kDLFloat, 32, 1}, {}, std::move(owner)), out[0]).ok());
    EXPECT_FALSE(watched.expired());
  }
  EXPECT_TRUE(watched.expired());
}

TEST(ValueCrossingTest, TakenTensorIsOwnedAndItsPlaceIsNull) {
  td_value value{};
  value.kind = TD_KIND_TENSOR;
  value.as.tensor = MakeTensor({1, 2}).ToDLPack();
  const void* const data = value.as.tensor->dl_tensor.data;
  const Result<Value> taken = TakeValue(value, AliasedTensors::kCopy);
  ASSERT_TRUE(taken.ok());
  EXPECT_EQ(value.as.tensor, nullptr);
  EXPECT_EQ(taken->get<Tensor>()->data(), data);  // Not flagged, so not copied.
}

TEST(ValueCrossingTest, AliasedTensorIsCopiedOrSharedAsAsked) {
  const Tensor memory = MakeTensor({1, 2});
  for (const AliasedTensors aliased : {AliasedTensors::kCopy, AliasedTensors::kShare}) {
    td_value value{};
    value.kind = TD_KIND_TENSOR;
    value.flags = TD_VALUE_ALIASED;
    value.as.tensor = memory.ToDLPack();
    const Result<Value> taken = TakeValue(value, aliased);
    ASSERT_TRUE(taken.ok());
    EXPECT_EQ(taken->get<Tensor>()->data() == memory.data(), aliased == AliasedTensors::kShare);
  }
}

TEST(ValueCrossingTest, AliasedTensorOnADeviceIsUnimplementedWhenItMustBeCopied) {
  td_value value{};
  value.kind = TD_KIND_TENSOR;
  value.flags = TD_VALUE_ALIASED;
  value.as.tensor = MakeTensor({1}).ToDLPack();
  value.as.tensor->dl_tensor.device = {kDLCUDA, 0};
  EXPECT_EQ(TakeValue(value, AliasedTensors::kCopy).status().code(), Code::kUnimplemented);
  EXPECT_EQ(value.as.tensor, nullptr);
}

TEST(ValueCrossingTest, WhatTheWaistForbidsIsAnInternalError) {
  td_value object{};
  object.kind = TD_KIND_OBJECT;
  EXPECT_EQ(TakeValue(object, AliasedTensors::kShare).status().code(), Code::kInternal);
  td_value unknown{};
  unknown.kind = static_cast<td_kind>(15);
  EXPECT_THAT(TakeValue(unknown, AliasedTensors::kShare).status().message(), HasSubstr("kind 15"));
  td_value null_tensor{};
  null_tensor.kind = TD_KIND_TENSOR;
  EXPECT_EQ(TakeValue(null_tensor, AliasedTensors::kShare).status().code(), Code::kInternal);
  td_value key{};
  td_value item{};
  td_value dict{};
  dict.kind = TD_KIND_DICT;
  dict.as.dict = {&key, &item, 1};
  EXPECT_THAT(TakeValue(dict, AliasedTensors::kShare).status().message(), HasSubstr("dict key"));
}

}  // namespace
}  // namespace torchdeploy
