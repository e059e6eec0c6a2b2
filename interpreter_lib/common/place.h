// Where in a call's arguments or result a value stands, for messages.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace torchdeploy {

// A path such as `result["past_key_values"][0]`, kept as a chain on the stack so that it
// costs nothing until an error is written. A place must not outlive its parent or the text
// that it was made with.
class Place {
 public:
  explicit Place(std::string_view root) : step_(Root{root}) {}

  [[nodiscard]] Place At(int64_t index) const { return Place(this, index); }
  [[nodiscard]] Place At(std::string_view key) const { return Place(this, key); }

  [[nodiscard]] std::string ToString() const {
    if (const Root* root = std::get_if<Root>(&step_)) {
      return std::string(root->name);
    }
    if (const int64_t* index = std::get_if<int64_t>(&step_)) {
      return parent_->ToString() + "[" + std::to_string(*index) + "]";
    }
    return parent_->ToString() + "[\"" + std::string(std::get<std::string_view>(step_)) + "\"]";
  }

  // Containers around the value; 0 for a root.
  [[nodiscard]] int depth() const { return parent_ == nullptr ? 0 : parent_->depth() + 1; }

 private:
  struct Root {
    std::string_view name;
  };

  Place(const Place* parent, int64_t index) : parent_(parent), step_(index) {}
  Place(const Place* parent, std::string_view key) : parent_(parent), step_(key) {}

  const Place* parent_ = nullptr;
  std::variant<Root, int64_t, std::string_view> step_;
};

// Deeper values cannot cross; a value that contains itself is one of them.
inline constexpr int kMaxDepth = 64;

}  // namespace torchdeploy
