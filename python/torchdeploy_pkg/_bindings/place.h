// Where a value stands among a call's arguments, for errors.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace torchdeploy {

// A chain on the stack: each place refers to the one that holds it, which must outlive it.
class Place {
 public:
  explicit Place(std::string_view root) : key_(root) {}

  [[nodiscard]] Place At(std::string_view key) const { return {this, key}; }
  [[nodiscard]] Place At(int64_t index) const { return {this, index}; }

  // Number of containers around the value.
  [[nodiscard]] int depth() const { return depth_; }

  // "args[0]['x']".
  [[nodiscard]] std::string ToString() const {
    const auto* const name = std::get_if<std::string_view>(&key_);
    if (parent_ == nullptr) {
      return std::string(*name);
    }
    const std::string key =
        name != nullptr ? "'" + std::string(*name) + "'" : std::to_string(std::get<int64_t>(key_));
    return parent_->ToString() + "[" + key + "]";
  }

 private:
  using Key = std::variant<std::string_view, int64_t>;
  Place(const Place* parent, Key key) : parent_(parent), key_(key), depth_(parent->depth_ + 1) {}

  const Place* parent_ = nullptr;
  Key key_;
  int depth_ = 0;
};

}  // namespace torchdeploy
