#include "server/datatype.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <dlpack/dlpack.h>

namespace torchdeploy::server {

namespace {

struct Row {
  std::string_view name;
  uint8_t code;
  uint8_t bits;
};

constexpr std::array<Row, 13> kRows = {{{"BOOL", kDLBool, 8},
                                        {"UINT8", kDLUInt, 8},
                                        {"UINT16", kDLUInt, 16},
                                        {"UINT32", kDLUInt, 32},
                                        {"UINT64", kDLUInt, 64},
                                        {"INT8", kDLInt, 8},
                                        {"INT16", kDLInt, 16},
                                        {"INT32", kDLInt, 32},
                                        {"INT64", kDLInt, 64},
                                        {"FP16", kDLFloat, 16},
                                        {"BF16", kDLBfloat, 16},
                                        {"FP32", kDLFloat, 32},
                                        {"FP64", kDLFloat, 64}}};

}  // namespace

std::optional<DLDataType> DataTypeNamed(std::string_view name) {
  for (const Row& row : kRows) {
    if (row.name == name) {
      return DLDataType{row.code, row.bits, 1};
    }
  }
  return std::nullopt;
}

std::optional<std::string_view> NameOf(DLDataType type) {
  for (const Row& row : kRows) {
    if (row.code == type.code && row.bits == type.bits && type.lanes == 1) {
      return row.name;
    }
  }
  return std::nullopt;
}

std::string DatatypeNames() {
  std::string names;
  for (const Row& row : kRows) {
    names += std::string(row.name) + ", ";
  }
  return names + std::string(kBytes);
}

std::string Describe(DLDataType type) {
  const std::string kind =
      type.code == kDLComplex ? "complex" : "DLPack type " + std::to_string(type.code) + " of ";
  return kind + std::to_string(type.bits) + (type.code == kDLComplex ? "" : " bits");
}

}  // namespace torchdeploy::server
