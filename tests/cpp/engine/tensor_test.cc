// Tensors both ways: dtypes, shapes, views, and what is refused.
#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

#include <dlpack/dlpack.h>
#include <gtest/gtest.h>

#include "interpreter_lib/abi/interp_abi.h"

#include "tests/cpp/engine/engine_under_test.h"
#include "tests/cpp/engine/values.h"

namespace torchdeploy::testing {
namespace {

struct DtypeCase {
  std::string name;
  DLDataType dlpack;
};

// Every dtype that DLPack and torch share.
const std::vector<DtypeCase>& AllDtypes() {
  static const std::vector<DtypeCase> cases = {
      {"bool", {kDLBool, 8, 1}},
      {"uint8", {kDLUInt, 8, 1}},
      {"uint16", {kDLUInt, 16, 1}},
      {"uint32", {kDLUInt, 32, 1}},
      {"uint64", {kDLUInt, 64, 1}},
      {"int8", {kDLInt, 8, 1}},
      {"int16", {kDLInt, 16, 1}},
      {"int32", {kDLInt, 32, 1}},
      {"int64", {kDLInt, 64, 1}},
      {"float16", {kDLFloat, 16, 1}},
      {"bfloat16", {kDLBfloat, 16, 1}},
      {"float32", {kDLFloat, 32, 1}},
      {"float64", {kDLFloat, 64, 1}},
      {"complex32", {kDLComplex, 32, 1}},
      {"complex64", {kDLComplex, 64, 1}},
      {"complex128", {kDLComplex, 128, 1}},
      {"float8_e4m3fn", {kDLFloat8_e4m3fn, 8, 1}},
      {"float8_e4m3fnuz", {kDLFloat8_e4m3fnuz, 8, 1}},
      {"float8_e5m2", {kDLFloat8_e5m2, 8, 1}},
      {"float8_e5m2fnuz", {kDLFloat8_e5m2fnuz, 8, 1}},
      {"float8_e8m0fnu", {kDLFloat8_e8m0fnu, 8, 1}},
      {"float4_e2m1fn_x2", {kDLFloat4_e2m1fn, 4, 2}},
  };
  return cases;
}

class TensorTest : public ::testing::Test {
 protected:
  std::string Python(const std::string& expression, td_value argument) {
    return engine_.CallExpression(expression, {argument}).Show();
  }

  EngineUnderTest& engine_ = EngineUnderTest::Get();
  Arena arena_;
};

TEST_F(TensorTest, EveryDtypeGoesInAndComesBackWithTheSameBytesAndMemory) {
  const td_object same = engine_.Define(
      "seen = []\ndef same(x, name):\n    seen.append(str(x.dtype) == 'torch.' + name)\n    return "
      "x, "
      "seen[-1]",
      "same");
  for (const DtypeCase& dtype : AllDtypes()) {
    std::vector<std::byte> bytes(
        static_cast<size_t>(dtype.dlpack.bits) * dtype.dlpack.lanes / 8 * 2, std::byte{1});
    DLManagedTensorVersioned* const tensor = RawTensor(dtype.dlpack, {2}, {}, bytes);
    const void* const memory = tensor->dl_tensor.data;
    Outcome outcome = engine_.Call(same, {Arena::Tensor(tensor), arena_.Str(dtype.name)});
    ASSERT_TRUE(outcome.ok()) << dtype.name << ": " << outcome.failure().message;
    const td_sequence& items = outcome.value().as.sequence;
    EXPECT_EQ(Show(items.items[1]), "True") << dtype.name;
    const DLTensor& back = items.items[0].as.tensor->dl_tensor;
    EXPECT_EQ(back.data, memory) << dtype.name;
    EXPECT_EQ(std::memcmp(&back.dtype, &dtype.dlpack, sizeof back.dtype), 0) << dtype.name;
    EXPECT_EQ(std::memcmp(back.data, bytes.data(), bytes.size()), 0) << dtype.name;
  }
}

TEST_F(TensorTest, StridedZeroDimensionalAndEmptyTensorsEnter) {
  std::vector<float> data = {0, 1, 2, 3, 4, 5};
  DLManagedTensorVersioned* const columns = FloatTensor({2, 3}, data);
  columns->dl_tensor.shape[0] = 3;
  columns->dl_tensor.shape[1] = 2;
  columns->dl_tensor.strides[0] = 1;
  columns->dl_tensor.strides[1] = 3;
  EXPECT_EQ(Python("lambda x: str(x.tolist())", Arena::Tensor(columns)),
            "'[[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]'");
  EXPECT_EQ(Python("lambda x: (x.ndim, x.item())", Arena::Tensor(FloatTensor({}, {2.5F}))),
            "(0, 2.5f)");
  EXPECT_EQ(Python("lambda x: x.shape", Arena::Tensor(FloatTensor({0, 3}, {}))), "(0, 3)");
}

TEST_F(TensorTest, ByteOffsetAndMissingStridesAreHonoured) {
  DLManagedTensorVersioned* const tensor = FloatTensor({3}, {1, 2, 3});
  tensor->dl_tensor.byte_offset = sizeof(float);
  tensor->dl_tensor.shape[0] = 2;
  tensor->dl_tensor.strides = nullptr;
  EXPECT_EQ(Python("lambda x: x.tolist()", Arena::Tensor(tensor)), "[2f, 3f]");
}

TEST_F(TensorTest, ModelWritesToTheHostsMemory) {
  std::vector<std::byte> bytes(sizeof(float));
  DLManagedTensorVersioned* const tensor = RawTensor(kFloat32, {1}, {}, bytes);
  const auto* const memory = static_cast<const float*>(tensor->dl_tensor.data);
  const Outcome kept = engine_.CallExpression("lambda x: x.fill_(7)", {Arena::Tensor(tensor)});
  EXPECT_EQ(*memory, 7);
}

TEST_F(TensorTest, ReadOnlyAndMisalignedInputIsCopied) {
  DLManagedTensorVersioned* const read_only = FloatTensor({1}, {5});
  read_only->flags = DLPACK_FLAG_BITMASK_READ_ONLY;
  const void* const memory = read_only->dl_tensor.data;
  Outcome outcome = engine_.CallExpression("lambda x: x.add_(1)", {Arena::Tensor(read_only)});
  EXPECT_EQ(Floats(outcome.value()), std::vector<float>{6});
  EXPECT_NE(outcome.value().as.tensor->dl_tensor.data, memory);

  std::vector<std::byte> bytes(2 * sizeof(float) + 1);
  const float numbers[] = {1.5F, -2.5F};
  std::memcpy(bytes.data() + 1, numbers, sizeof numbers);
  DLManagedTensorVersioned* const misaligned = RawTensor(kFloat32, {2}, {}, bytes);
  misaligned->dl_tensor.byte_offset = 1;
  EXPECT_EQ(Python("lambda x: (x.data_ptr() % 4, *x.tolist())", Arena::Tensor(misaligned)),
            "(0, 1.5f, -2.5f)");
}

TEST_F(TensorTest, TensorOfAFailedCallIsReleased) {
  int deletions = 0;
  const Outcome raised =
      engine_.CallExpression("lambda x: 1 / 0", {Arena::Tensor(FloatTensor({1}, {1}, &deletions))});
  EXPECT_EQ(raised.failure().code, TD_UNKNOWN);
  EXPECT_EQ(deletions, 1);
  const Outcome no_callable =
      engine_.Call(999999, {Arena::Tensor(FloatTensor({1}, {1}, &deletions))});
  EXPECT_EQ(no_callable.failure().code, TD_FAILED_PRECONDITION);
  EXPECT_EQ(deletions, 2);
  const Outcome bad_sibling = engine_.CallExpression(
      "print", {arena_.Str("\xff"), Arena::Tensor(FloatTensor({1}, {1}, &deletions))});
  EXPECT_EQ(bad_sibling.failure().code, TD_INVALID_ARGUMENT);
  EXPECT_EQ(deletions, 3);
}

TEST_F(TensorTest, TensorThatTorchHasNotIsRefusedAndReleased) {
  int deletions = 0;
  const td_object repr = engine_.Eval("repr");
  const Outcome dtype =
      engine_.Call(repr, {Arena::Tensor(RawTensor({kDLFloat, 32, 4}, {1}, {},
                                                  std::vector<std::byte>(16), &deletions))});
  EXPECT_EQ(dtype.failure().code, TD_INVALID_ARGUMENT);
  EXPECT_EQ(dtype.failure().message.rfind("argument 0: torch cannot take this tensor", 0), 0U)
      << dtype.failure().message;
  DLManagedTensorVersioned* const future = FloatTensor({1}, {1}, &deletions);
  future->version.major = DLPACK_MAJOR_VERSION + 1;
  EXPECT_EQ(engine_.Call(repr, {Arena::Tensor(future)}).failure().code, TD_INVALID_ARGUMENT);
  DLManagedTensorVersioned* const negative = FloatTensor({1}, {1}, &deletions);
  negative->dl_tensor.shape[0] = -1;
  EXPECT_EQ(engine_.Call(repr, {Arena::Tensor(negative)}).failure().code, TD_INVALID_ARGUMENT);
  DLManagedTensorVersioned* const elsewhere = FloatTensor({1}, {1}, &deletions);
  elsewhere->dl_tensor.device.device_type = kDLVulkan;
  EXPECT_EQ(engine_.Call(repr, {Arena::Tensor(elsewhere)}).failure().code, TD_INVALID_ARGUMENT);
  EXPECT_EQ(deletions, 4);
}

TEST_F(TensorTest, ViewsLeaveWithTheirStrides) {
  Outcome strided = engine_.CallExpression("lambda: __import__('torch').arange(6.).view(2, 3).t()");
  EXPECT_EQ(strided.Show(), "tensor(2.32, [3, 2], [1, 3])");
  EXPECT_EQ(Floats(strided.value()), (std::vector<float>{0, 3, 1, 4, 2, 5}));
  Outcome offset = engine_.CallExpression("lambda: __import__('torch').arange(6.)[4:]");
  EXPECT_EQ(Floats(offset.value()), (std::vector<float>{4, 5}));
  Outcome expanded = engine_.CallExpression("lambda: __import__('torch').ones(1).expand(3)");
  EXPECT_EQ(Floats(expanded.value()), (std::vector<float>{1, 1, 1}));
  EXPECT_EQ(engine_.CallExpression("lambda: __import__('torch').tensor(1.)").Show(),
            "tensor(2.32, [], [])");
  EXPECT_EQ(engine_.CallExpression("lambda: __import__('torch').empty(0, 3)").Show(),
            "tensor(2.32, [0, 3], [3, 1])");
}

TEST_F(TensorTest, ConjugateAndNegativeViewsAreResolved) {
  Outcome conjugate = engine_.CallExpression(
      "lambda: __import__('torch').view_as_real("
      "__import__('torch').tensor([1+2j], dtype=__import__('torch').complex64).conj()"
      ".resolve_conj())");
  EXPECT_EQ(Floats(conjugate.value()), (std::vector<float>{1, -2}));
  Outcome lazy = engine_.CallExpression(
      "lambda: __import__('torch').tensor([1+2j], dtype=__import__('torch').complex64).conj()");
  const auto* const pair = static_cast<const float*>(lazy.value().as.tensor->dl_tensor.data);
  EXPECT_EQ(pair[0], 1);
  EXPECT_EQ(pair[1], -2);
  Outcome negative = engine_.CallExpression(
      "lambda: __import__('torch').tensor([1+2j], "
      "dtype=__import__('torch').complex64).conj().imag");
  EXPECT_EQ(Floats(negative.value()), std::vector<float>{-2});
}

TEST_F(TensorTest, ParametersAndSubclassesOfPlainMemoryLeave) {
  Outcome parameter = engine_.CallExpression(
      "lambda: __import__('torch').nn.Parameter(__import__('torch').ones(2))");
  EXPECT_EQ(Floats(parameter.value()), (std::vector<float>{1, 1}));
  Outcome graph = engine_.CallExpression(
      "lambda: __import__('torch').ones(2, requires_grad=True).exp().mul(0)");
  EXPECT_EQ(Floats(graph.value()), (std::vector<float>{0, 0}));
  const td_object subclass = engine_.Define(
      "class Mine(torch.Tensor):\n    pass\nvalue = lambda: torch.ones(1).as_subclass(Mine)",
      "value");
  Outcome mine = engine_.Call(subclass);
  EXPECT_EQ(Floats(mine.value()), std::vector<float>{1});
  Outcome inference = engine_.Call(
      engine_.Define("@torch.inference_mode()\ndef value():\n    return torch.ones(1)", "value"));
  EXPECT_EQ(Floats(inference.value()), std::vector<float>{1});
}

struct RefusedTensor {
  std::string expression;  // Of a function, with torch as t.
  std::string reason;
};

TEST_F(TensorTest, WhatIsNotStridedDenseAndMaterialisedIsRefused) {
  const std::vector<RefusedTensor> cases = {
      {"t.ones(2).to_sparse()", "of layout Sparse"},
      {"t.ones(2, 2).to_sparse_csr()", "of layout SparseCsr"},
      {"t.ones(2).to_mkldnn()", "of layout Mkldnn"},
      {"t.empty(2, device='meta')", "on the meta device"},
      {"t.quantize_per_tensor(t.ones(2), 1., 0, t.quint8)", "quantized"},
      {"t.nested.nested_tensor([t.ones(1), t.ones(2)])", "nested"},
      {"t.nested.nested_tensor([t.ones(1), t.ones(2)], layout=t.jagged)", "nested"},
      {"t._efficientzerotensor(2)", "without memory"},
      {"t.empty(2, dtype=t.uint3)", "of dtype torch.uint3"},
      {"__import__('torch._subclasses.fake_tensor', fromlist=['x']).FakeTensorMode().from_tensor("
       "t.ones(1))",
       "subclass without plain memory"},
      {"(lambda kept: (t.vmap(lambda x: kept.append(x) or x)(t.ones(2)), kept[0])[1])([])",
       "torch.func transform"},
  };
  for (const RefusedTensor& refused : cases) {
    const Outcome outcome = engine_.CallExpression("lambda: (lambda t: [" + refused.expression +
                                                   "])(__import__('torch'))");
    EXPECT_EQ(outcome.failure().code, TD_INVALID_ARGUMENT)
        << refused.expression << outcome.failure().traceback;
    EXPECT_EQ(outcome.failure().message.rfind("result[0] (", 0), 0U) << outcome.failure().message;
    EXPECT_NE(outcome.failure().message.find(refused.reason), std::string::npos)
        << outcome.failure().message;
  }
}

}  // namespace
}  // namespace torchdeploy::testing
