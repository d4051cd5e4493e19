#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/config_samples.hpp"

namespace ae::config::writing_test {
namespace {

using nlohmann::json;
using samples::Demanding;
using samples::Everything;

Everything reading(std::string_view text) {
  Everything root;
  read_text(root, text, "c.json", "/folder");
  return root;
}

TEST(ConfigWriting, PrintsEveryFieldInDeclarationOrder) {
  Everything root;
  EXPECT_EQ(to_json(root, Paths::as_written), R"({
  "data": {
    "path": "",
    "label": "",
    "normal": [],
    "missing": ["", "NA"],
    "columns": {
      "id": "ignore"
    }
  },
  "model": {
    "type": "dense",
    "hidden": [64, 16],
    "latent": 4,
    "dropout": 0
  },
  "loss": {
    "terms": null
  },
  "training": {
    "epochs": 100,
    "seed": 0,
    "learning_rate": 0.001,
    "clip": null,
    "optimiser": "adam",
    "shuffle": true
  }
}
)");
}

TEST(ConfigWriting, ReadsBackToTheSameValuesAndText) {
  Everything first = reading(R"({"data": {"path": "a/\u00e9 \"q\".csv", "normal": [1, "B"], "columns": {}},
    "loss": {"terms": [{"type": "mse", "weight": 0.1}, {"type": "huber", "delta": 5e-324}]},
    "training": {"seed": -9223372036854775808, "clip": 1.7976931348623157e308}})");
  const std::string text = to_json(first, Paths::as_written);
  Everything second = reading(text);
  EXPECT_EQ(to_json(second, Paths::as_written), text);
  EXPECT_EQ(second.data.path.written, "a/\u00e9 \"q\".csv");
  EXPECT_EQ(dynamic_cast<const samples::Huber&>(*second.loss.list[1]).delta, 5e-324);
  EXPECT_EQ(second.training.seed, std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(second.training.clip, 1.7976931348623157e308);
}

TEST(ConfigWriting, AnEmptyListOfTermsIsNotAnUnsetOne) {
  EXPECT_TRUE(reading(R"({"loss": {"terms": []}})").loss.is_set);
  EXPECT_FALSE(reading(R"({"loss": {"terms": null}})").loss.is_set);
  Everything root = reading(R"({"loss": {"terms": []}})");
  EXPECT_EQ(json::parse(to_json(root, Paths::as_written))["loss"]["terms"], json::array());
}

TEST(ConfigWriting, KeepsTheSignOfZero) {
  Everything root = reading(R"({"loss": {"terms": [{"type": "mse", "weight": -0.0}]}})");
  Everything again = reading(to_json(root, Paths::as_written));
  EXPECT_TRUE(std::signbit(again.loss.list[0]->weight));
}

TEST(ConfigWriting, PathsAreAsWrittenOrResolved) {
  Everything root = reading(R"({"data": {"path": "../t.csv"}})");
  EXPECT_EQ(json::parse(to_json(root, Paths::as_written))["data"]["path"], "../t.csv");
  EXPECT_EQ(json::parse(to_json(root, Paths::resolved))["data"]["path"], "/t.csv");
}

TEST(ConfigWriting, LongArraysTakeOneLineAnItem) {
  Everything root;
  root.data.missing.assign(40, "missing");
  const std::string text = to_json(root, Paths::as_written);
  EXPECT_THAT(text, testing::HasSubstr("\"missing\": [\n      \"missing\",\n      \"missing\",\n"));
}

TEST(ConfigSchema, TellsRangesDefaultsDescriptionsAndChoices) {
  Everything root;
  const json schema = json::parse(json_schema(root, "A title"));
  EXPECT_EQ(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
  EXPECT_EQ(schema["title"], "A title");
  EXPECT_EQ(schema["additionalProperties"], false);
  EXPECT_TRUE(schema["properties"].contains("$schema"));
  EXPECT_FALSE(schema.contains("required"));
  const json& training = schema["properties"]["training"]["properties"];
  EXPECT_EQ(training["epochs"], json::parse(R"({"type": "integer", "minimum": 1, "maximum": 1000000, "default": 100,
                                               "description": "Passes over the training rows at most."})"));
  EXPECT_EQ(training["learning_rate"],
            json::parse(R"({"type": "number", "exclusiveMinimum": 0, "maximum": 1, "default": 0.001,
                            "description": "Step size of the optimiser."})"));
  EXPECT_EQ(training["clip"], json::parse(R"({"type": ["number", "null"], "exclusiveMinimum": 0, "default": null,
                                             "description": "Largest gradient norm."})"));
  EXPECT_EQ(training["optimiser"], json::parse(R"({"type": "string", "enum": ["adam", "sgd"], "default": "adam",
                            "description": "How weights move.\nadam: adaptive steps\nsgd: plain steps"})"));
  const json& model = schema["properties"]["model"]["oneOf"];
  ASSERT_EQ(model.size(), 2u);
  EXPECT_EQ(model[0]["properties"]["type"]["const"], "dense");
  EXPECT_FALSE(model[0].contains("required"));  // the initial type may be left out
  EXPECT_EQ(model[1]["required"], json::array({"type"}));
  EXPECT_EQ(model[1]["additionalProperties"], false);
  const json& terms = schema["properties"]["loss"]["properties"]["terms"];
  EXPECT_EQ(terms["type"], json::array({"array", "null"}));
  EXPECT_EQ(terms["items"]["oneOf"][1]["properties"]["delta"]["exclusiveMinimum"], 0);
}

TEST(ConfigSchema, RequiresVariantsWithoutAnInitialType) {
  Demanding root;
  const json schema = json::parse(json_schema(root, "demanding"));
  EXPECT_EQ(schema["required"], json::array({"model"}));
  for (const json& branch : schema["properties"]["model"]["oneOf"])
    EXPECT_EQ(branch["required"], json::array({"type"}));
}

TEST(ConfigSchema, DeprecatesFormerNamesAndAllowsOneName) {
  Everything root;
  const json schema = json::parse(json_schema(root, "A title"));
  const json& training = schema["properties"]["training"];
  EXPECT_EQ(training["properties"]["rate"],
            json::parse(R"({"type": "number", "exclusiveMinimum": 0, "maximum": 1, "deprecated": true,
                            "description": "The former name of \"learning_rate\"."})"));
  EXPECT_EQ(training["allOf"], json::parse(R"([{"oneOf": [
      {"required": ["learning_rate"]}, {"required": ["rate"]},
      {"properties": {"learning_rate": false, "rate": false}}]}])"));
  EXPECT_EQ(schema["properties"]["fit"]["properties"]["rate"]["deprecated"], true);
  samples::Renamed renamed;
  const json needed = json::parse(json_schema(renamed, "needed"));
  EXPECT_FALSE(needed.contains("required"));
  EXPECT_EQ(needed["allOf"], json::parse(R"([{"oneOf": [{"required": ["model"]}, {"required": ["network"]}]}])"));
}

TEST(ConfigDescription, HasOneLineForEverySetting) {
  Demanding root;
  EXPECT_EQ(describe(root),
            "/model: The network.\n"
            "/model/type: one of \"dense\", \"linear\". dense: A multilayer perceptron. "
            "linear: The linear autoencoder.\n"
            "/model/hidden (dense): an array, each item an integer in [1, 65536], default [64, 16]. "
            "Sizes of the hidden layers.\n"
            "/model/latent (dense, linear): an integer in [1, 65536], default 4. Size of the bottleneck.\n"
            "/model/dropout (dense): a number in [0, 1), default 0. Rate of dropped units.\n"
            "/model/bias (linear): true or false, default true. Whether to learn an offset.\n"
            "/rounds: an integer in [1, 9], default 3. Rounds.\n");
  samples::Renamed renamed;
  EXPECT_THAT(describe(renamed), testing::AllOf(testing::StartsWith("/model: The network.\n/model/type: "),
                                                testing::Not(testing::HasSubstr("/network"))));
}

struct Recursive final : samples::Model {
  Variant<samples::Model> inner;
  Recursive();
  void fields(Fields& f) override { f.variant("inner", inner, "Itself."); }
};
constexpr std::array<Entry<samples::Model>, 1> recursive = {
    {{"recursive", "", samples::make<samples::Model, Recursive>}}};
Recursive::Recursive() : inner(recursive) {}

struct Twice final : Section {
  bool a = false;
  void fields(Fields& f) override {
    f.boolean("a", a, "One.");
    f.boolean("a", a, "Other.");
  }
};

struct RenamedTwice final : Section {
  bool a = false, b = false;
  void fields(Fields& f) override {
    f.boolean("a", a, "One.");
    f.renamed("old", "a");
    f.boolean("b", b, "Other.");
    f.renamed("old", "b");
  }
};

struct RenamedToNothing final : Section {
  bool a = false;
  void fields(Fields& f) override {
    f.boolean("a", a, "One.");
    f.renamed("old", "b");
  }
};

TEST(ConfigDeclaration, MistakesOfTheProgrammerAreLogicErrors) {
  Twice twice;
  EXPECT_THROW(to_json(twice, Paths::as_written), std::logic_error);
  RenamedTwice renamed_twice;
  EXPECT_THROW(to_json(renamed_twice, Paths::as_written), std::logic_error);
  RenamedToNothing renamed_to_nothing;
  EXPECT_THROW(to_json(renamed_to_nothing, Paths::as_written), std::logic_error);
  Recursive endless;
  EXPECT_THROW(json_schema(endless, ""), std::logic_error);
  EXPECT_THROW(describe(endless), std::logic_error);
  samples::Mse mse;
  mse.weight = std::nan("");
  EXPECT_THROW(to_json(mse, Paths::as_written), std::logic_error);
}

}  // namespace
}  // namespace ae::config::writing_test
