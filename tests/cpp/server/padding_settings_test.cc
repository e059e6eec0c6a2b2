// Which padding a model can have.
#include "server/padding_settings.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/padding.h"
#include "torchdeploy/manifest.h"
#include "torchdeploy/status.h"

namespace torchdeploy::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Manifest DeclaringAllKinds() {
  Manifest manifest;
  manifest.inputs = {{"audio", "FP32", std::vector<int64_t>{-1, -1, 80}},
                     {"audio_lengths", "INT64", std::vector<int64_t>{-1}},
                     {"ids", "INT64", std::vector<int64_t>{-1, -1}},
                     {"text", "BYTES", std::vector<int64_t>{-1, -1}},
                     {"shapeless", "FP32", std::nullopt},
                     {"any", "", std::vector<int64_t>{-1, -1}}};
  manifest.outputs = {{"hidden", "FP32", std::vector<int64_t>{-1, -1, 16}}};
  return manifest;
}

class PaddingSettingsTest : public testing::Test {
 protected:
  [[nodiscard]] std::string Mistake(const std::function<void(PaddingSettings&)>& make) const {
    PaddingSettings settings = settings_;
    make(settings);
    const Status status = CheckPadding(settings, manifest_).status();
    EXPECT_EQ(status.code(), Code::kInvalidArgument);
    return status.message();
  }

  std::optional<Manifest> manifest_ = DeclaringAllKinds();
  PaddingSettings settings_ = {.inputs = {{"audio", {1, "0.5", "audio_lengths"}}},
                               .outputs = {{"hidden", {1, "audio"}}}};
};

TEST_F(PaddingSettingsTest, WhatFitsTheModelIsTaken) {
  const Result<Padding> padding = CheckPadding(settings_, manifest_);
  ASSERT_TRUE(padding.ok()) << padding.status().ToString();
  const PaddedInput& audio = padding->inputs.at("audio");
  EXPECT_EQ(audio.dimension, 1);
  EXPECT_EQ(audio.element, std::string("\0\0\0\x3f", 4));
  EXPECT_EQ(audio.lengths, "audio_lengths");
  EXPECT_EQ(padding->outputs.at("hidden").as, "audio");
}

TEST_F(PaddingSettingsTest, ClientsAreNotAskedForLengths) {
  HideLengths(*CheckPadding(settings_, manifest_), manifest_);
  std::vector<std::string> names;
  for (const TensorSpec& input : manifest_->inputs) {
    names.push_back(input.name);
  }
  EXPECT_THAT(names, ElementsAre("audio", "ids", "text", "shapeless", "any"));
}

TEST_F(PaddingSettingsTest, AModelWithoutManifestIsOnlyServedWithoutPadding) {
  manifest_.reset();
  EXPECT_TRUE(CheckPadding({}, manifest_).ok());
  EXPECT_THAT(Mistake([](PaddingSettings&) {}), HasSubstr("no manifest"));
}

TEST_F(PaddingSettingsTest, AMistakeInAnInputIsNamed) {
  const std::vector<std::pair<std::string, std::string>> mistakes = {
      {"adio", "batching.padding.adio: the model has no input 'adio'; did you mean 'audio'?"},
      {"text", "batching.padding.text: 'text' is BYTES"},
      {"shapeless", "'shapeless' is declared without a shape"},
      {"any", "'any' is declared without a datatype"},
      {"ids", "batching.padding.ids: value '0.5' does not fit INT64"},
  };
  for (const auto& [name, message] : mistakes) {
    const auto make = [&](PaddingSettings& settings) { settings.inputs[name] = {1, "0.5", ""}; };
    EXPECT_THAT(Mistake(make), HasSubstr(message));
  }
}

TEST_F(PaddingSettingsTest, ADimensionThatCannotBeLongerIsNamed) {
  const auto with_dimension = [](int64_t dimension) {
    return [=](PaddingSettings& settings) { settings.inputs["audio"].dimension = dimension; };
  };
  EXPECT_THAT(Mistake(with_dimension(2)),
              HasSubstr("dimension is 2, but there 'audio' is declared with the fixed extent 80"));
  EXPECT_THAT(Mistake(with_dimension(3)),
              HasSubstr("dimension is 3, but 'audio' is declared with 3 dimensions"));
}

TEST_F(PaddingSettingsTest, LengthsThatCannotBeFilledInAreNamed) {
  const auto with_lengths = [](const std::string& lengths) {
    return [=](PaddingSettings& settings) { settings.inputs["audio"].lengths = lengths; };
  };
  EXPECT_THAT(Mistake(with_lengths("audio_length")),
              HasSubstr("batching.padding.audio.lengths: the model has no input 'audio_length'; "
                        "did you mean 'audio_lengths'?"));
  EXPECT_THAT(Mistake(with_lengths("any")), HasSubstr("'any' must be declared as INT64"));
  EXPECT_THAT(Mistake(with_lengths("ids")), HasSubstr("'ids' must be declared as INT64 of shape"));
  EXPECT_THAT(Mistake(with_lengths("audio")), HasSubstr("'audio' is padded itself"));
  EXPECT_THAT(Mistake([](PaddingSettings& settings) {
                settings.inputs["ids"] = {1, "0", "audio_lengths"};
              }),
              HasSubstr("'audio_lengths' is to hold those of 2 inputs"));
}

TEST_F(PaddingSettingsTest, AnOutputThatCannotBeCutIsNamed) {
  EXPECT_THAT(Mistake([](PaddingSettings& settings) { settings.outputs["hiden"] = {1, "audio"}; }),
              HasSubstr("batching.trimming.hiden: the model has no output 'hiden'; did you mean "
                        "'hidden'?"));
  EXPECT_THAT(Mistake([](PaddingSettings& settings) { settings.outputs["hidden"].as = "ids"; }),
              HasSubstr("as is 'ids', which is no input of batching.padding"));
  EXPECT_THAT(Mistake([](PaddingSettings& settings) { settings.outputs["hidden"].dimension = 2; }),
              HasSubstr("fixed extent 16"));
}

}  // namespace
}  // namespace torchdeploy::server
