#include "server/padding_value.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include <dlpack/dlpack.h>

#include "server/datatype.h"
#include "torchdeploy/status.h"

namespace torchdeploy::server {

namespace {

using Element = std::optional<std::string>;

template <typename T>
std::string BytesOf(T number) {
  return {reinterpret_cast<const char*>(&number), sizeof number};
}

template <typename T>
std::optional<T> Parse(const std::string& text) {
  T number{};
  const char* const end = text.data() + text.size();
  const auto [parsed, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && parsed == end ? std::optional(number) : std::nullopt;
}

template <typename T>
Element WholeNumber(const std::string& text) {
  const std::optional<T> number = Parse<T>(text);
  return number.has_value() ? Element(BytesOf(*number)) : std::nullopt;
}

Element Boolean(const std::string& text) {
  if (text == "true" || text == "1") {
    return BytesOf(true);
  }
  return text == "false" || text == "0" ? Element(BytesOf(false)) : std::nullopt;
}

std::optional<double> ParseFloat(const std::string& text) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (text == ".inf" || text == "-.inf") {
    return text == ".inf" ? kInfinity : -kInfinity;
  }
  return text == ".nan" ? std::optional(std::numeric_limits<double>::quiet_NaN())
                        : Parse<double>(text);
}

// The bits of IEEE 754's format of two bytes with so many bits of exponent; nothing when the
// number is too great for it.
std::optional<uint16_t> ShortFloat(double number, int exponent_bits) {
  const int fraction_bits = 15 - exponent_bits;
  const uint32_t sign = std::signbit(number) ? 0x8000 : 0;
  const uint32_t infinity = ((1U << exponent_bits) - 1) << fraction_bits;
  if (std::isnan(number)) {
    return static_cast<uint16_t>(sign | infinity | (1U << (fraction_bits - 1)));
  }
  if (std::isinf(number)) {
    return static_cast<uint16_t>(sign | infinity);
  }
  const int least_exponent = 2 - (1 << (exponent_bits - 1));  // Of numbers that are not subnormal.
  const int exponent = number == 0 ? least_exponent : std::max(std::ilogb(number), least_exponent);
  // Carries into the exponent where rounding makes the fraction too long.
  const double steps = std::nearbyint(std::ldexp(std::fabs(number), fraction_bits - exponent));
  const double bits = std::ldexp(exponent - least_exponent, fraction_bits) + steps;
  return bits < infinity ? std::optional(static_cast<uint16_t>(sign | static_cast<uint32_t>(bits)))
                         : std::nullopt;
}

Element Float(const std::string& text, DLDataType type) {
  const std::optional<double> number = ParseFloat(text);
  if (!number.has_value() || type.bits == 64) {
    return number.has_value() ? Element(BytesOf(*number)) : std::nullopt;
  }
  if (type.bits == 32) {
    const auto single = static_cast<float>(*number);
    return std::isinf(single) && !std::isinf(*number) ? std::nullopt : Element(BytesOf(single));
  }
  constexpr int kHalfExponentBits = 5;
  constexpr int kBfloatExponentBits = 8;
  const std::optional<uint16_t> bits =
      ShortFloat(*number, type.code == kDLBfloat ? kBfloatExponentBits : kHalfExponentBits);
  return bits.has_value() ? Element(BytesOf(*bits)) : std::nullopt;
}

template <typename Int8, typename Int16, typename Int32, typename Int64>
Element WholeNumberOf(uint8_t bits, const std::string& text) {
  switch (bits) {
    case 8:
      return WholeNumber<Int8>(text);
    case 16:
      return WholeNumber<Int16>(text);
    case 32:
      return WholeNumber<Int32>(text);
    default:
      return WholeNumber<Int64>(text);
  }
}

Element ElementOf(const std::string& text, DLDataType type) {
  switch (type.code) {
    case kDLBool:
      return Boolean(text);
    case kDLInt:
      return WholeNumberOf<int8_t, int16_t, int32_t, int64_t>(type.bits, text);
    case kDLUInt:
      return WholeNumberOf<uint8_t, uint16_t, uint32_t, uint64_t>(type.bits, text);
    default:
      return Float(text, type);
  }
}

}  // namespace

Result<std::string> PaddingElement(const std::string& text, DLDataType type) {
  Element element = ElementOf(text, type);
  if (element.has_value()) {
    return *std::move(element);
  }
  return Status(Code::kInvalidArgument,
                "'" + text + "' does not fit " + std::string(NameOf(type).value_or("")));
}

}  // namespace torchdeploy::server
