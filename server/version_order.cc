#include "server/version_order.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <tuple>

namespace torchdeploy::server {

namespace {

bool IsNumber(const std::string& text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string_view WithoutLeadingZeros(std::string_view number) {
  return number.substr(std::min(number.find_first_not_of('0'), number.size()));
}

}  // namespace

bool VersionOrder::operator()(const std::string& a, const std::string& b) const {
  const bool a_is_number = IsNumber(a);
  const bool b_is_number = IsNumber(b);
  const std::string_view a_digits = a_is_number ? WithoutLeadingZeros(a) : "";
  const std::string_view b_digits = b_is_number ? WithoutLeadingZeros(b) : "";
  const size_t a_length = a_digits.size();
  const size_t b_length = b_digits.size();
  return std::tie(a_is_number, a_length, a_digits, a) <
         std::tie(b_is_number, b_length, b_digits, b);
}

}  // namespace torchdeploy::server
