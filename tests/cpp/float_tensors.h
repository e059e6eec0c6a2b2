// Tensors of float32 in and out of tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include <dlpack/dlpack.h>
#include <gtest/gtest.h>

#include "torchdeploy/tensor.h"
#include "torchdeploy/value.h"

namespace torchdeploy {

inline Tensor MakeTensor(const std::vector<float>& elements, const std::vector<int64_t>& shape) {
  auto owner = std::make_shared<std::vector<float>>(elements);
  float* const data = owner->data();
  return Tensor::View(data, {kDLFloat, 32, 1}, shape, std::move(owner));
}

// Of one dimension.
inline Tensor MakeTensor(const std::vector<float>& elements) {
  return MakeTensor(elements, {static_cast<int64_t>(elements.size())});
}

// Of a value that must be such a tensor: else fails the test.
inline std::vector<float> ElementsOf(const Value& value) {
  const auto* const tensor = value.get<Tensor>();
  if (tensor == nullptr) {
    ADD_FAILURE() << "The value is no tensor.";
    return {};
  }
  std::vector<float> elements(static_cast<size_t>(tensor->num_elements()));
  tensor->CopyTo(std::as_writable_bytes(std::span(elements)));
  return elements;
}

}  // namespace torchdeploy
