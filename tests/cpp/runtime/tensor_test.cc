// Sharing, measuring and copying tensors.
#include "torchdeploy/tensor.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <numeric>
#include <ostream>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <dlpack/dlpack.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "torchdeploy/status.h"

namespace torchdeploy {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

constexpr DLDataType kFloat32{kDLFloat, 32, 1};
constexpr DLDataType kInt32{kDLInt, 32, 1};
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

// A tensor of int32 as a foreign library would give it, counting its deletions.
struct Foreign {
  std::vector<int32_t> data;
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;
  DLManagedTensorVersioned managed{};
  int deletions = 0;

  Tensor Give(uint64_t byte_offset = 0) {
    managed.version = {DLPACK_MAJOR_VERSION, DLPACK_MINOR_VERSION};
    managed.manager_ctx = this;
    managed.deleter = [](DLManagedTensorVersioned* self) {
      static_cast<Foreign*>(self->manager_ctx)->deletions += 1;
    };
    DLTensor& dl = managed.dl_tensor;
    dl.data = data.data();
    dl.device = {kDLCPU, 0};
    dl.ndim = static_cast<int32_t>(shape.size());
    dl.dtype = kInt32;
    dl.shape = shape.data();
    dl.strides = strides.empty() ? nullptr : strides.data();
    dl.byte_offset = byte_offset;
    return Tensor::FromDLPack(&managed);
  }
};

std::vector<int32_t> Elements(const Tensor& tensor) {
  std::vector<int32_t> elements(static_cast<size_t>(tensor.num_elements()));
  tensor.CopyTo(std::as_writable_bytes(std::span(elements)));
  return elements;
}

std::vector<int32_t> Counting(size_t count) {
  std::vector<int32_t> numbers(count);
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

TEST(TensorTest, CopyToWritesTransposedElementsInRowMajorOrder) {
  Foreign foreign{.data = Counting(6), .shape = {3, 2}, .strides = {1, 3}};
  const Tensor tensor = foreign.Give();
  EXPECT_FALSE(tensor.is_contiguous());
  EXPECT_THAT(Elements(tensor), ElementsAre(0, 3, 1, 4, 2, 5));
}

TEST(TensorTest, CopyToFollowsNegativeAndZeroStridesAndTheOffset) {
  Foreign foreign{.data = Counting(4), .shape = {2, 3}, .strides = {0, -1}};
  EXPECT_THAT(Elements(foreign.Give(/*byte_offset=*/12)), ElementsAre(3, 2, 1, 3, 2, 1));
}

TEST(TensorTest, CopyToCopiesRowsOfASlicedMatrix) {
  Foreign foreign{.data = Counting(12), .shape = {3, 2}, .strides = {4, 1}};
  EXPECT_THAT(Elements(foreign.Give()), ElementsAre(0, 1, 4, 5, 8, 9));
}

TEST(TensorTest, NullStridesMeanRowMajor) {
  Foreign foreign{.data = Counting(6), .shape = {2, 3}, .strides = {}};
  const Tensor tensor = foreign.Give();
  EXPECT_TRUE(tensor.is_contiguous());
  EXPECT_THAT(Elements(tensor), ElementsAreArray(Counting(6)));
}

TEST(TensorTest, TensorOfNoDimensionHasOneElement) {
  Foreign foreign{.data = {7}, .shape = {}, .strides = {}};
  const Tensor tensor = foreign.Give();
  EXPECT_EQ(tensor.num_elements(), 1);
  EXPECT_EQ(tensor.size_bytes(), 4U);
  EXPECT_TRUE(tensor.is_contiguous());
  EXPECT_THAT(Elements(tensor), ElementsAre(7));
}

TEST(TensorTest, EmptyTensorHasNoBytesEvenBesideAHugeExtent) {
  const Result<Tensor> tensor = Tensor::Allocate(kFloat32, {kMax, 0, kMax});
  ASSERT_TRUE(tensor.ok()) << tensor.status().ToString();
  EXPECT_EQ(tensor->num_elements(), 0);
  EXPECT_EQ(tensor->size_bytes(), 0U);
  EXPECT_TRUE(tensor->is_contiguous());
  tensor->CopyTo({});
  EXPECT_TRUE(tensor->Clone().ok());
}

TEST(TensorTest, ExtentOfOneMayHaveAnyStride) {
  Foreign foreign{.data = Counting(3), .shape = {1, 3}, .strides = {99, 1}};
  EXPECT_TRUE(foreign.Give().is_contiguous());
}

TEST(TensorTest, AllocatedMemoryIsAlignedToACacheLine) {
  for (int64_t size = 1; size < 100; ++size) {
    const Result<Tensor> tensor = Tensor::Allocate(kFloat32, {size});
    ASSERT_TRUE(tensor.ok());
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor->data()) % 64, 0U);
  }
}

struct BadShape {
  const char* name;  // Of the test.
  std::vector<int64_t> shape;
  Code code;
  const char* message;

  friend void PrintTo(const BadShape& bad, std::ostream* out) { *out << bad.name; }
};

class TensorShapeTest : public ::testing::TestWithParam<BadShape> {};

TEST_P(TensorShapeTest, AllocateRefusesAndNamesTheShape) {
  const Result<Tensor> tensor = Tensor::Allocate(kFloat32, GetParam().shape);
  ASSERT_FALSE(tensor.ok());
  EXPECT_EQ(tensor.status().code(), GetParam().code);
  EXPECT_THAT(tensor.status().message(), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    All, TensorShapeTest,
    ::testing::Values(
        BadShape{"Negative", {2, -1}, Code::kInvalidArgument, "[2, -1] has a negative extent"},
        BadShape{
            "NegativeBesideZero", {0, -1}, Code::kInvalidArgument, "[0, -1] has a negative extent"},
        BadShape{"OneHugeExtent", {kMax}, Code::kInvalidArgument, "2^63 - 1 bytes"},
        BadShape{"OneByteTooMany", {kMax / 4 + 1}, Code::kInvalidArgument, "2^63 - 1 bytes"},
        BadShape{"ProductOverflowsToZero",
                 {int64_t{1} << 32, int64_t{1} << 32},
                 Code::kInvalidArgument,
                 "2^63 - 1 bytes"},
        BadShape{"ProductOfThree", {kMax, kMax, kMax}, Code::kInvalidArgument, "2^63 - 1 bytes"},
        BadShape{"NoSuchMemory", {kMax / 8}, Code::kResourceExhausted, "There is no memory"}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(TensorTest, PackedElementsOfHalfAByteAreRoundedUpToBytes) {
  constexpr DLDataType kFloat4{kDLFloat4_e2m1fn, 4, 1};
  EXPECT_EQ(ElementSizeBytes(kFloat4), 0U);
  const Result<Tensor> tensor = Tensor::Allocate(kFloat4, {3});
  ASSERT_TRUE(tensor.ok());
  EXPECT_EQ(tensor->size_bytes(), 2U);
  EXPECT_TRUE(tensor->Clone().ok());
}

TEST(TensorTest, PaddedElementsOfHalfAByteTakeAByteEach) {
  std::array<uint8_t, 3> data = {1, 2, 3};
  const Tensor view = Tensor::View(data.data(), {kDLFloat4_e2m1fn, 4, 1}, {3}, nullptr);
  DLManagedTensorVersioned* const managed = view.ToDLPack();
  managed->flags |= DLPACK_FLAG_BITMASK_IS_SUBBYTE_TYPE_PADDED;
  const Tensor padded = Tensor::FromDLPack(managed);
  EXPECT_EQ(padded.size_bytes(), 3U);
  const Result<Tensor> copy = padded.Clone();
  ASSERT_TRUE(copy.ok());
  EXPECT_EQ(copy->size_bytes(), 3U);
  EXPECT_EQ(std::memcmp(copy->data(), data.data(), 3), 0);
}

TEST(TensorTest, DTypesOfSeveralLanesCountAllOfThem) {
  EXPECT_EQ(ElementSizeBytes({kDLFloat4_e2m1fn, 4, 2}), 1U);
  EXPECT_EQ(ElementSizeBytes({kDLComplex, 128, 1}), 16U);
}

TEST(TensorTest, CloneHasMemoryOfItsOwn) {
  Foreign foreign{.data = Counting(6), .shape = {3, 2}, .strides = {1, 3}};
  const Tensor tensor = foreign.Give();
  const Result<Tensor> copy = tensor.Clone();
  foreign.data.assign(6, -1);
  ASSERT_TRUE(copy.ok());
  EXPECT_TRUE(copy->is_contiguous());
  EXPECT_THAT(Elements(*copy), ElementsAre(0, 3, 1, 4, 2, 5));
}

TEST(TensorTest, CloneOfDeviceMemoryIsUnimplemented) {
  Foreign foreign{.data = Counting(1), .shape = {1}, .strides = {1}};
  const Tensor tensor = foreign.Give();
  foreign.managed.dl_tensor.device = {kDLCUDA, 0};
  EXPECT_EQ(tensor.Clone().status().code(), Code::kUnimplemented);
}

TEST(TensorTest, LastReferenceRunsTheDeleterOnce) {
  Foreign foreign{.data = Counting(1), .shape = {1}, .strides = {1}};
  Tensor tensor = foreign.Give();
  DLManagedTensorVersioned* const exported = tensor.ToDLPack();
  Tensor copy = tensor;
  tensor = Tensor();
  copy = Tensor();
  EXPECT_EQ(foreign.deletions, 0);
  EXPECT_EQ(exported->dl_tensor.data, foreign.data.data());
  exported->deleter(exported);
  EXPECT_EQ(foreign.deletions, 1);
}

TEST(TensorTest, ViewKeepsItsOwnerAlive) {
  auto owner = std::make_shared<std::vector<int32_t>>(Counting(4));
  const std::weak_ptr<std::vector<int32_t>> watched = owner;
  int32_t* const data = owner->data();
  Tensor view = Tensor::View(data, kInt32, {2, 2}, std::move(owner));
  EXPECT_FALSE(watched.expired());
  EXPECT_THAT(Elements(view), ElementsAre(0, 1, 2, 3));
  view = Tensor();
  EXPECT_TRUE(watched.expired());
}

TEST(TensorTest, ViewNeedsNoAlignment) {
  std::array<std::byte, 9> memory{};
  const int32_t value = 5;
  std::memcpy(memory.data() + 1, &value, sizeof value);
  const Tensor view = Tensor::View(memory.data() + 1, kInt32, {2}, nullptr);
  EXPECT_THAT(Elements(view), ElementsAre(5, 0));
}

TEST(TensorDeathTest, CopyToAbortsWhenTheRoomDoesNotFit) {
  const Result<Tensor> tensor = Tensor::Allocate(kInt32, {2});
  std::array<std::byte, 4> room{};
  EXPECT_DEATH(tensor->CopyTo(room), "size_bytes");
}

}  // namespace
}  // namespace torchdeploy
