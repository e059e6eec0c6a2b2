// at::IValue to Python and back, in a real interpreter.
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/deploy.h>

#include "tests/cpp/compat/shared_manager.h"

namespace torch::deploy {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

at::IValue Mixed() {
  c10::impl::GenericList list(c10::AnyType::get());
  list.push_back(at::IValue(1));
  list.push_back(at::IValue("a"));
  list.push_back(at::IValue());
  return list;
}

at::IValue DictOf(std::vector<std::pair<std::string, int64_t>> pairs) {
  c10::Dict<std::string, int64_t> dict;
  for (const auto& [key, value] : pairs) {
    dict.insert(key, value);
  }
  return dict;
}

TEST(ConversionTest, ValuesArriveInPythonAndComeBackAsTheyWere) {
  const std::vector<std::pair<at::IValue, std::string>> table = {
      {at::IValue(), "None"},
      {true, "True"},
      {int64_t{-7}, "-7"},
      {1.5, "1.5"},
      {c10::complex<double>(1, -2), "(1-2j)"},
      {"grüß", "'grüß'"},
      {c10::Device("cuda:1"), "device(type='cuda', index=1)"},
      {c10::ivalue::Tuple::create({at::IValue(1), at::IValue("a")}), "(1, 'a')"},
      {c10::ivalue::Tuple::create(std::vector<at::IValue>()), "()"},
      {c10::List<int64_t>({1, 2}), "[1, 2]"},
      {c10::List<double>({1.5}), "[1.5]"},
      {c10::List<bool>({true, false}), "[True, False]"},
      {c10::List<c10::complex<double>>({c10::complex<double>(0, 1)}), "[1j]"},
      {c10::List<std::string>({"a", "b"}), "['a', 'b']"},
      {c10::List<c10::List<int64_t>>({c10::List<int64_t>({1}), c10::List<int64_t>({2})}),
       "[[1], [2]]"},
      {Mixed(), "[1, 'a', None]"},
      {DictOf({{"z", 1}, {"a", 2}}), "{'z': 1, 'a': 2}"},
  };
  const InterpreterSession session = SharedManager().acquireOne();
  for (const auto& [value, repr] : table) {
    const Obj object = session.fromIValue(value);
    EXPECT_EQ(Repr(session, object), repr);
    EXPECT_EQ(object.toIValue(), value) << repr;
    EXPECT_EQ(*object.toIValue().type(), *value.type()) << repr;
  }
}

TEST(ConversionTest, EmptyListsAndDictsCross) {
  const InterpreterSession session = SharedManager().acquireOne();
  const Obj list = session.fromIValue(c10::List<int64_t>());
  EXPECT_EQ(Repr(session, list), "[]");
  EXPECT_EQ(list.toIValue().toListRef().size(), 0);
  const Obj dict = session.fromIValue(DictOf({}));
  EXPECT_EQ(Repr(session, dict), "{}");
  EXPECT_EQ(dict.toIValue().toGenericDict().size(), 0);
}

TEST(ConversionTest, ListsOfPythonAreTypedWhenTheirItemsAre) {
  const InterpreterSession session = SharedManager().acquireOne();
  EXPECT_THAT(Eval(session, "[1, 2]").toIValue().toIntVector(), ElementsAre(1, 2));
  EXPECT_THAT(Eval(session, "[1.5]").toIValue().toDoubleVector(), ElementsAre(1.5));
  const at::IValue tensors = Eval(session, "[__import__('torch').ones(2)] * 2").toIValue();
  EXPECT_TRUE(at::equal(tensors.toTensorVector().at(1), at::ones({2})));
  EXPECT_FALSE(Eval(session, "[1, 2.5]").toIValue().isDoubleList());
}

TEST(ConversionTest, DictsOfMixedKeysAndValuesCross) {
  const InterpreterSession session = SharedManager().acquireOne();
  const auto dict = Eval(session, "{'a': [1], 2: None}").toIValue().toGenericDict();
  EXPECT_THAT(dict.at("a").toIntVector(), ElementsAre(1));
  EXPECT_TRUE(dict.at(2).isNone());
}

TEST(ConversionTest, DtypeAndLayoutAreTheIntsThatAnIValueHolds) {
  const InterpreterSession session = SharedManager().acquireOne();
  EXPECT_EQ(Eval(session, "__import__('torch').float16").toIValue().toScalarType(), at::kHalf);
  EXPECT_EQ(Eval(session, "__import__('torch').sparse_csr").toIValue().toLayout(), at::kSparseCsr);
  EXPECT_EQ(Eval(session, "__import__('torch').strided").toIValue().toLayout(), at::kStrided);
}

TEST(ConversionTest, BytesBecomeAString) {
  const InterpreterSession session = SharedManager().acquireOne();
  EXPECT_EQ(Eval(session, "b'a\\x00\\xff'").toIValue().toStringRef(), std::string("a\0\xff", 3));
}

TEST(ConversionTest, NumpyArraysBecomeTensors) {
  const InterpreterSession session = SharedManager().acquireOne();
  const at::Tensor array = Eval(session, "__import__('numpy').arange(3)").toIValue().toTensor();
  EXPECT_TRUE(at::equal(array, at::arange(3)));
}

TEST(ConversionTest, TensorIsTheSameMemoryOnBothSides) {
  const InterpreterSession session = SharedManager().acquireOne();
  const at::Tensor tensor = at::zeros({2, 3}).t();
  const Obj object = session.fromIValue(tensor);
  object.attr("fill_")({5.0});
  EXPECT_TRUE(at::equal(tensor, at::full({3, 2}, 5.0)));
  const at::Tensor back = object.toIValue().toTensor();
  EXPECT_EQ(back.data_ptr(), tensor.data_ptr());
  EXPECT_EQ(back.strides(), tensor.strides());
}

TEST(ConversionTest, TensorsOfEveryDtypeThatDLPackHasCross) {
  const InterpreterSession session = SharedManager().acquireOne();
  for (const at::ScalarType dtype :
       {at::kBool, at::kByte, at::kChar, at::kShort, at::kInt, at::kLong, at::kHalf, at::kBFloat16,
        at::kFloat, at::kDouble, at::kComplexFloat, at::kComplexDouble, at::kUInt16, at::kUInt32,
        at::kUInt64}) {
    const at::Tensor tensor = at::ones({2}).to(dtype);
    const at::Tensor back = session.fromIValue(tensor).toIValue().toTensor();
    EXPECT_EQ(back.scalar_type(), dtype);
    EXPECT_TRUE(at::equal(back, tensor)) << dtype;
  }
}

TEST(ConversionTest, TensorOutlivesTheSessionAndItsObject) {
  at::Tensor tensor = [] {
    const InterpreterSession session = SharedManager().acquireOne();
    return Eval(session, "__import__('torch').full((1000,), 7)").toIValue().toTensor();
  }();
  EXPECT_EQ(tensor.sum().item<int64_t>(), 7000);
}

TEST(ConversionTest, GradientsStayAndConjugationIsDone) {
  const InterpreterSession session = SharedManager().acquireOne();
  const at::Tensor leaf = at::ones({2}).set_requires_grad(true);
  EXPECT_FALSE(session.fromIValue(leaf).toIValue().toTensor().requires_grad());
  const at::Tensor conjugate = at::full({2}, c10::complex<double>(1, 2)).conj();
  EXPECT_TRUE(at::equal(session.fromIValue(conjugate).toIValue().toTensor(), conjugate));
}

TEST(ConversionTest, UndefinedTensorIsNone) {
  const InterpreterSession session = SharedManager().acquireOne();
  EXPECT_EQ(Repr(session, session.fromIValue(at::Tensor())), "None");
}

TEST(ConversionTest, WhatCannotCrossIsNamed) {
  const InterpreterSession session = SharedManager().acquireOne();
  const at::IValue future = c10::make_intrusive<c10::ivalue::Future>(c10::IntType::get());
  EXPECT_THAT(ErrorOf([&] { session.fromIValue(future); }), HasSubstr("kind Future"));
  EXPECT_THAT(ErrorOf([&] { session.fromIValue(at::eye(2).to_sparse()); }), HasSubstr("Sparse"));
  EXPECT_THAT(ErrorOf([&] { (void)Eval(session, "object()").toIValue(); }), HasSubstr("object"));
}

}  // namespace
}  // namespace torch::deploy
