// Tests of what a model's config.yaml may say.
#include "server/model_settings.h"

#include <chrono>
#include <cstdint>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/padding_settings.h"
#include "server/text_file.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

#include "tests/cpp/runtime/fake_pool.h"

namespace torchdeploy::server {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class ModelSettingsTest : public testing::Test {
 protected:
  Status Read(const std::string& text) {
    return ParseModelSettings(text, "config.yaml", &settings_);
  }

  ModelSettings settings_;
};

TEST_F(ModelSettingsTest, EveryKeyIsTaken) {
  const Status status = Read(R"(
batching: {max_size: 16, max_delay_us: 250, preferred_sizes: [8, 4]}
queue:
  max_size: 30
)");
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(settings_.queue.batching.most_rows, 16);
  EXPECT_EQ(settings_.queue.batching.delay, std::chrono::microseconds(250));
  EXPECT_THAT(settings_.queue.batching.preferred_rows, ElementsAre(4, 8));
  EXPECT_EQ(settings_.queue.most_waiting, 30U);
}

TEST_F(ModelSettingsTest, VersionsAreAllOrTheLatestOrThoseListed) {
  EXPECT_TRUE(Read("versions: all").ok());
  EXPECT_FALSE(settings_.versions.latest.has_value());
  EXPECT_TRUE(Read("versions: {latest: 3}").ok());
  EXPECT_EQ(settings_.versions.latest, 3);
  settings_ = {};
  EXPECT_TRUE(Read("{versions: [1, 02], default_version: 02, warmup_calls: 0}").ok());
  EXPECT_THAT(settings_.versions.listed, ElementsAre("1", "02"));
  EXPECT_EQ(settings_.versions.default_version, "02");
  EXPECT_EQ(settings_.warmup_calls, 0);
  for (const char* text : {"versions: some", "versions: []", "versions: {latest: 0}",
                           "versions: [a]", "default_version: x", "warmup_calls: -1"}) {
    EXPECT_EQ(Read(text).code(), Code::kInvalidArgument) << text;
  }
}

TEST_F(ModelSettingsTest, PaddingIsTakenByTheNamesOfInputsAndOutputs) {
  const Status status = Read(R"(
batching:
  padding:
    ids: {dimension: 1, value: -1}
    audio.mel: {dimension: 2, lengths: audio_lengths}
  trimming:
    hidden: {dimension: 1, as: ids}
)");
  ASSERT_TRUE(status.ok()) << status.ToString();
  const PaddingSettings& padding = settings_.padding;
  EXPECT_EQ(padding.inputs.at("ids").dimension, 1);
  EXPECT_EQ(padding.inputs.at("ids").value, "-1");
  EXPECT_EQ(padding.inputs.at("ids").lengths, "");
  EXPECT_EQ(padding.inputs.at("audio.mel").dimension, 2);
  EXPECT_EQ(padding.inputs.at("audio.mel").value, "0");
  EXPECT_EQ(padding.inputs.at("audio.mel").lengths, "audio_lengths");
  EXPECT_EQ(padding.outputs.at("hidden").dimension, 1);
  EXPECT_EQ(padding.outputs.at("hidden").as, "ids");
}

TEST_F(ModelSettingsTest, ArgumentsOfTorchCompileAreTakenWithTheirTypes) {
  const Status status = Read(R"(
inference_mode: true
torch_compile:
  backend: inductor
  dynamic: no
  options: {max_autotune: true, depth: 3, rate: 0.5, name: triton, text: "3"}
)");
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_TRUE(settings_.inference_mode);
  ASSERT_TRUE(settings_.torch_compile);
  const Dict& arguments = *settings_.torch_compile;
  ASSERT_EQ(arguments.size(), 3U);
  EXPECT_EQ(*arguments[0].first.get<std::string>(), "backend");
  EXPECT_EQ(*arguments[0].second.get<std::string>(), "inductor");
  EXPECT_EQ(*arguments[1].second.get<bool>(), false);
  const Dict& options = *arguments[2].second.get<Dict>();
  ASSERT_EQ(options.size(), 5U);
  EXPECT_EQ(*options[0].second.get<bool>(), true);
  EXPECT_EQ(*options[1].second.get<int64_t>(), 3);
  EXPECT_EQ(*options[2].second.get<double>(), 0.5);
  EXPECT_EQ(*options[3].second.get<std::string>(), "triton");
  EXPECT_EQ(*options[4].second.get<std::string>(), "3");
  EXPECT_TRUE(Read("torch_compile:").ok());
  EXPECT_TRUE(settings_.torch_compile->empty());
  for (const char* text : {"inference_mode: 2", "torch_compile: {dynamic: maybe}",
                           "torch_compile: {modes: x}", "torch_compile: inductor"}) {
    EXPECT_EQ(Read(text).code(), Code::kInvalidArgument) << text;
  }
}

TEST_F(ModelSettingsTest, OptimizedExecutionIsOnUnlessItIsTurnedOff) {
  ASSERT_TRUE(Read("warmup_calls: 1").ok());
  EXPECT_TRUE(settings_.optimized_execution);
  ASSERT_TRUE(Read("optimized_execution: false").ok());
  EXPECT_FALSE(settings_.optimized_execution);
  EXPECT_EQ(Read("optimized_execution: 2").code(), Code::kInvalidArgument);
}

TEST_F(ModelSettingsTest, DevicesAreOneOrAList) {
  ASSERT_TRUE(Read("device: cuda:1").ok());
  EXPECT_THAT(settings_.devices, ElementsAre("cuda:1"));
  ASSERT_TRUE(Read("device: [cuda:0, cuda:1]").ok());
  EXPECT_THAT(settings_.devices, ElementsAre("cuda:0", "cuda:1"));
  for (const char* text : {"device:", "device: []", "device: ['']", "device: {cuda: 0}"}) {
    EXPECT_THAT(Read(text).message(), HasSubstr("cuda:0, or a list")) << text;
  }
}

TEST_F(ModelSettingsTest, WhatIsNotSaidStaysAsItWas) {
  settings_.queue.most_waiting = 7;
  EXPECT_TRUE(Read("").ok());
  EXPECT_TRUE(Read("batching:\nqueue:\n").ok());
  EXPECT_TRUE(Read("batching: {max_size: 2}").ok());
  EXPECT_EQ(settings_.queue.most_waiting, 7U);
}

TEST_F(ModelSettingsTest, AnUnknownKeyIsNamedWithTheNearestKnownOne) {
  EXPECT_THAT(Read("batchin: {}").message(),
              AllOf(HasSubstr("config.yaml"), HasSubstr("'batchin'"), HasSubstr("'batching'")));
  EXPECT_THAT(Read("batching: {max_delay: 3}").message(),
              AllOf(HasSubstr("'batching.max_delay'"), HasSubstr("'batching.max_delay_us'")));
}

TEST_F(ModelSettingsTest, AMistakeIsNamedByItsPlaceAndValue) {
  const std::vector<std::pair<std::string, std::string>> mistakes = {
      {"batching: {max_size: many}", "batching.max_size is many; a number from 1"},
      {"batching: {max_size: 0}", "batching.max_size is 0"},
      {"batching: {max_size: 1.5}", "batching.max_size is 1.5"},
      {"batching: {max_delay_us: -1}", "batching.max_delay_us is -1"},
      {"batching: {preferred_sizes: 4}", "batching.preferred_sizes is 4; a list"},
      {"batching: {max_size: 4, preferred_sizes: [8]}", "has 8, more than batching.max_size"},
      {"batching: {max_size: 8}\nqueue: {max_size: 7}", "queue.max_size is 7, less than"},
      {"batching: {padding: [x]}", "batching.padding is no mapping"},
      {"batching: {padding: {x: 1}}", "batching.padding.x is no mapping"},
      {"batching: {padding: {x: {value: 0}}}", "batching.padding.x.dimension is missing"},
      {"batching: {padding: {x: {dimension: 0}}}", "x.dimension is 0; a number from 1 to 63"},
      {"batching: {padding: {x: {dimension: -1}}}", "x.dimension is -1"},
      {"batching: {padding: {x: {dimension: 1, value: [0]}}}", "x.value is [0]; a number"},
      {"batching: {padding: {x: {dimension: 1, vale: 0}}}", "did you mean 'batching.padding.x.v"},
      {"batching: {trimming: {y: {dimension: 1}}}", "batching.trimming.y.as is missing"},
      {"batching: {trimming: {y: {as: x}}}", "batching.trimming.y.dimension is missing"},
      {"batching: {trimming: {y: {dimension: 1, as: {}}}}", "y.as is {}; a name is expected"},
      {"queue: 3", "queue is no mapping"},
      {"- 1", "the file is no mapping"},
      {"a: [", "config.yaml: yaml-cpp: error"},
      {"? [1]\n: 2", "config.yaml"},
  };
  for (const auto& [text, message] : mistakes) {
    const Status status = Read(text);
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << text;
    EXPECT_THAT(status.message(), HasSubstr(message)) << text;
  }
}

TEST_F(ModelSettingsTest, AFileThatCannotBeReadIsNamed) {
  const Status status = ReadTextFile("/nowhere/config.yaml").status();
  EXPECT_EQ(status.code(), Code::kPermissionDenied);
  EXPECT_THAT(status.message(), HasSubstr("/nowhere/config.yaml"));
}

}  // namespace
}  // namespace torchdeploy::server
