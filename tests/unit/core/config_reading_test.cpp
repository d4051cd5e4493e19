#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>

#include "base/error.hpp"
#include "core/config_samples.hpp"
#include "support/errors.hpp"
#include "support/temporary_folder.hpp"

namespace ae::config::reading_test {
namespace {

using samples::Demanding;
using samples::Everything;
using testing::ElementsAre;

template <typename Root = Everything>
std::vector<std::string> problems_of(std::string_view json, const std::vector<std::string>& sets = {}) {
  Root root;
  return test::errors_of<UsageError>([&] {
    std::vector<Override> overrides;
    for (const auto& set : sets) overrides.push_back(parse_override(set));
    read_text(root, json, "c.json", "/folder", overrides);
  });
}

Everything reading(std::string_view json, const std::vector<std::string>& sets = {}) {
  Everything root;
  std::vector<Override> overrides;
  for (const auto& set : sets) overrides.push_back(parse_override(set));
  read_text(root, json, "c.json", "/folder", overrides);
  return root;
}

TEST(ConfigReading, GivesEverySettingItsValueAndLeavesTheOthersAtTheirDefaults) {
  const Everything root = reading(R"({"$schema": "x.json",
    "data": {"path": "t/wdbc.csv", "label": "class", "normal": ["B", 1.50, true], "missing": ["?"],
             "columns": {"z*": "numeric", "a": "ignore"}},
    "model": {"type": "linear", "latent": 7},
    "loss": {"terms": [{"type": "huber", "delta": 0.5}, {"type": "mse", "weight": 2}]},
    "training": {"epochs": 5e1, "learning_rate": 1, "clip": 2.5, "shuffle": false}})");
  EXPECT_EQ(root.data.path.written, "t/wdbc.csv");
  EXPECT_EQ(root.data.path.resolved, "/folder/t/wdbc.csv");
  EXPECT_THAT(root.data.normal, ElementsAre("B", "1.50", "true"));
  EXPECT_THAT(root.data.missing, ElementsAre("?"));
  EXPECT_THAT(root.data.columns, ElementsAre(testing::Pair("z*", "numeric"), testing::Pair("a", "ignore")));
  EXPECT_EQ(root.model.type(), "linear");
  EXPECT_EQ(dynamic_cast<const samples::Linear&>(*root.model).latent, 7);
  ASSERT_EQ(root.loss.list.size(), 2u);
  EXPECT_TRUE(root.loss.is_set);
  EXPECT_EQ(dynamic_cast<const samples::Huber&>(*root.loss.list[0]).delta, 0.5);
  EXPECT_EQ(root.loss.list[1]->weight, 2);
  EXPECT_EQ(root.training.epochs, 50);
  EXPECT_EQ(root.training.learning_rate, 1);
  EXPECT_EQ(root.training.clip, 2.5);
  EXPECT_FALSE(root.training.shuffle);
  EXPECT_EQ(root.training.optimiser, "adam");
}

TEST(ConfigReading, TakesEverySpellingOfAnIntegerAndNeverRounds) {
  for (const auto* spelling : {"50", "50.0", "5e1", "5E+1", "0.5e2", "500e-1"})
    EXPECT_EQ(reading(std::string(R"({"training": {"seed": )") + spelling + "}}").training.seed, 50) << spelling;
  EXPECT_EQ(reading(R"({"training": {"seed": 9007199254740993.0}})").training.seed, 9007199254740993);
  EXPECT_EQ(reading(R"({"training": {"seed": -9223372036854775808}})").training.seed,
            std::numeric_limits<std::int64_t>::min());
  for (const auto* wrong : {"1.9", "true", "null", "1.0000000000000000000001", "9223372036854775808", "1e19", "5e-1",
                            "99999999999999999999999", "1e-300"})
    EXPECT_THAT(
        problems_of(std::string(R"({"training": {"seed": )") + wrong + "}}"),
        ElementsAre(std::string("c.json: /training/seed: found ") + wrong + ", expected an integer; the default is 0"));
}

TEST(ConfigReading, ListsEveryProblemAtOnceWithPlaceFindingExpectationAndFix) {
  EXPECT_THAT(
      problems_of(R"({
    "epochs": 4, "type": 1, "zzz": {},
    "data": {"path": "a\u0000b", "label": 4, "normal": [1, [2]], "missing": "NA", "columns": {"a/b": "numerc"}},
    "model": {"type": "linear", "hidden": [3], "latent": "x"},
    "loss": {"terms": [{"type": "mes"}, {"weight": 2}, "mse", {"tpye": "mse"}, {"type": "mse", "delta": 1}]},
    "training": {"epcohs": 5, "epochs": 1.9, "learning_rate": 0, "shuffle": 1, "clip": "0.5", "optimiser": "adm"}})"),
      ElementsAre(R"(c.json: /epochs: unknown key; "epochs" belongs to /training)",
                  R"(c.json: /type: unknown key; "type" belongs to /model or /loss/terms/*)",
                  R"(c.json: /zzz: unknown key; expected one of "data", "model", "loss", "training")",
                  R"(c.json: /data/path: found "a\x00b", expected a file name in double quotes)",
                  R"(c.json: /data/label: found 4, expected text in double quotes; write "4")",
                  R"(c.json: /data/normal/1: found an array of 1 item, expected a text, number or boolean; )"
                  "write 2",
                  R"(c.json: /data/missing: found "NA", expected an array of texts; write ["NA"])",
                  R"(c.json: /data/columns/a~1b: found "numerc", expected one of "numeric", "ignore"; )"
                  R"(did you mean "numeric"?)",
                  R"(c.json: /model/hidden: not a setting of type "linear"; it belongs to "dense")",
                  R"(c.json: /model/latent: found "x", expected an integer in [1, 65536]; the default is 4)",
                  R"(c.json: /loss/terms/0/type: found "mes", expected one of "mse", "huber"; )"
                  R"(did you mean "mse"?)",
                  R"(c.json: /loss/terms/1: found no "type", expected "type": one of "mse", "huber"; )"
                  R"(for example {"type": "mse"})",
                  R"(c.json: /loss/terms/2: found "mse", expected an object with "type" one of "mse", "huber"; )"
                  R"(write {"type": "mse"})",
                  R"(c.json: /loss/terms/3/tpye: unknown key; did you mean "type"?)",
                  R"(c.json: /loss/terms/4/delta: not a setting of type "mse"; it belongs to "huber")",
                  R"(c.json: /training/epcohs: unknown key; did you mean "epochs"? It is given here already)",
                  R"(c.json: /training/epochs: found 1.9, expected an integer in [1, 1000000]; )"
                  "the default is 100",
                  R"(c.json: /training/learning_rate: found 0, expected a number in (0, 1]; )"
                  "the default is 0.001",
                  R"(c.json: /training/clip: found "0.5", expected a number > 0 or null; write 0.5)",
                  R"(c.json: /training/optimiser: found "adm", expected one of "adam", "sgd"; )"
                  R"(did you mean "adam"?)",
                  R"(c.json: /training/shuffle: found 1, expected true or false; write true)"));
}

TEST(ConfigReading, NamesMisspeltKeysWithTheLegalOne) {
  EXPECT_THAT(problems_of(R"({"training": {"epcohs": 5}})"),
              ElementsAre(R"(c.json: /training/epcohs: unknown key; did you mean "epochs"?)"));
  EXPECT_THAT(problems_of(R"({"model": {"tpye": "dense"}})"),
              ElementsAre(R"(c.json: /model/tpye: unknown key; did you mean "type"?)"));
}

// Renames one key or one choice by one edit and follows the advice.
TEST(ConfigReading, EverySuggestionIsLegalWhenFollowed) {
  const std::string good = R"({"data": {"label": "x", "normal": ["B"], "columns": {"a": "ignore"}},
    "model": {"type": "dense", "hidden": [9], "dropout": 0.5}, "loss": {"terms": [{"type": "huber", "delta": 2}]},
    "training": {"epochs": 3, "optimiser": "sgd", "shuffle": false, "learning_rate": 0.1}})";
  ASSERT_THAT(problems_of(good), ElementsAre());
  const std::vector<std::string> words = {
      "data", "label", "normal", "columns", "ignore", "model", "dense",   "type",      "hidden",   "dropout",
      "loss", "terms", "huber",  "delta",   "epochs", "sgd",   "shuffle", "optimiser", "training", "learning_rate"};
  int followed = 0;
  for (const std::string& word : words) {
    for (std::size_t i = 0; i < word.size(); ++i) {
      std::string typo = word;
      typo.erase(i, 1);
      std::string bad = good;
      bad.replace(bad.find('"' + word + '"'), word.size() + 2, '"' + typo + '"');
      const auto problems = problems_of(bad);
      ASSERT_FALSE(problems.empty()) << bad;
      constexpr std::string_view asks = "did you mean \"";
      const auto hint = problems.front().find(asks);
      if (hint == std::string::npos) continue;
      std::string suggestion = problems.front().substr(hint + asks.size());
      suggestion = suggestion.substr(0, suggestion.find('"'));
      std::string mended = bad;
      mended.replace(mended.find('"' + typo + '"'), typo.size() + 2, '"' + suggestion + '"');
      EXPECT_THAT(problems_of(mended), ElementsAre()) << problems.front();
      ++followed;
    }
  }
  EXPECT_GE(followed, 80);
}

TEST(ConfigReading, SpellingsItProposesReadWell) {
  const struct {
    const char* pointer;
    const char* wrong;
    const char* proposed;
  } cases[] = {{"/training/epochs", "\"7\"", "7"},
               {"/training/clip", "\"null\"", "null"},
               {"/training/shuffle", "0", "false"},
               {"/training/shuffle", "\"true\"", "true"},
               {"/data/label", "1.50", "\"1.50\""},
               {"/data/missing", "\"?\"", "[\"?\"]"},
               {"/model/hidden", "8", "[8]"},
               {"/data/label", "[\"y\"]", "\"y\""},
               {"/model", "\"dense\"", "{\"type\": \"dense\"}"}};
  for (const auto& [pointer, wrong, proposed] : cases) {
    const std::string set = std::string(pointer) + "=";
    // A quoted override is JSON text as in a file.
    const auto problems = problems_of("{}", {set + wrong});
    ASSERT_EQ(problems.size(), 1u) << set << wrong;
    EXPECT_THAT(problems[0], testing::EndsWith(std::string("; write ") + proposed));
    EXPECT_THAT(problems_of("{}", {set + proposed}), ElementsAre()) << set << proposed;
  }
}

TEST(ConfigReading, AVariantWithoutAnInitialTypeMustBeGiven) {
  const auto missing = ElementsAre(
      R"(c.json: /model: found no "type", expected "type": one of "dense", "linear"; for example {"type": "dense"})");
  EXPECT_THAT(problems_of<Demanding>("{}"), missing);
  EXPECT_THAT(problems_of<Demanding>(R"({"model": {}})"), missing);
  EXPECT_THAT(problems_of<Demanding>(R"({"model": {"type": "linear"}})"), ElementsAre());
}

TEST(ConfigReading, RelationsAreCheckedOnlyWhenAllFieldsOfTheSectionReadWell) {
  EXPECT_THAT(problems_of(R"({"model": {"hidden": [9, 3], "latent": 5}})"),
              ElementsAre("c.json: /model/hidden/1: found 3, expected at least the latent size 5; "
                          "use a smaller latent"));
  EXPECT_THAT(problems_of(R"({"model": {"hidden": [9, 3], "latent": 5, "dropout": 1}})"),
              ElementsAre("c.json: /model/dropout: found 1, expected a number in [0, 1); the default is 0"));
}

TEST(ConfigReading, TellsDuplicateKeysAtAnyDepth) {
  EXPECT_THAT(problems_of(R"({"training": {"epochs": 5, "epochs": 6}, "loss": {"terms": [{"type": "mse"},
                              {"type": "mse", "weight": 1, "weight": 2}]}, "training": {}})"),
              ElementsAre("c.json: /training/epochs: found this key more than once, expected it once; "
                          "remove all but one",
                          "c.json: /loss/terms/1/weight: found this key more than once, expected it once; "
                          "remove all but one",
                          "c.json: /training: found this key more than once, expected it once; remove all but one"));
}

TEST(ConfigReading, PointsAtTheLineAndColumnOfWhatIsNotJson) {
  const struct {
    const char* text;
    const char* message;
  } cases[] = {
      {"", R"(c.json: found an empty file, expected a JSON object; the smallest one is {})"},
      {" \n\t", R"(c.json: found an empty file, expected a JSON object; the smallest one is {})"},
      {"{", R"(c.json:1:2: found the end of the file, expected a key in double quotes)"},
      {"{\n  \"a\": 1,\n}", R"(c.json:3:1: found "}", expected a key in double quotes; remove the comma before it)"},
      {"{\"a\": 1 \"b\": 2}", R"(c.json:1:9: found "\"b\"", expected "," or "}")"},
      {"{\"a\" true}", R"(c.json:1:6: found "true", expected ":" after the key)"},
      {"[1 2]", R"(c.json:1:4: found "2", expected "," or "]")"},
      {"{} x", R"(c.json:1:4: found "x", expected the end of the file)"},
      {"{\"\u00e9\": NaN}", R"(c.json:1:7: found "NaN", expected a value; JSON has no NaN and no Infinity)"},
      {"{\"a\": -Infinity}", R"(c.json:1:7: found "-Infinity", expected a value; JSON has no NaN and no Infinity)"},
      {"{\"a\": 1e400}", R"(c.json:1:7: found 1e400, expected a number between -1.797e308 and 1.797e308)"},
      {"{\"a\": True}", R"(c.json:1:7: found "True", expected a value; JSON writes true, false and null)"},
      {"{\"a\": nul}", R"(c.json:1:7: found "nul", expected a value)"},
      {"{\"a\": 007}", R"(c.json:1:8: found "07", expected "," or "}"; a number has no leading zeros)"},
      {"{'a': 1}", R"(c.json:1:2: found "'", expected a key in double quotes; JSON uses double quotes)"},
      {"// x\n{}", R"(c.json:1:1: found "/", expected a value; JSON has no comments)"},
      {"{\"a\": \"b",
       "c.json:1:9: found a broken string (missing closing quote), "
       "expected text in double quotes on one line"},
      {"{\"a\": \"\xff\"}",
       "c.json:1:8: found a broken string (ill-formed UTF-8 byte), "
       "expected text in double quotes on one line"},
      {"5", R"(c.json: found 5, expected a JSON object; enclose the settings in { })"},
      {"[1, 2]", R"(c.json: found an array of 2 items, expected a JSON object; enclose the settings in { })"},
  };
  for (const auto& [text, message] : cases) EXPECT_THAT(problems_of(text), ElementsAre(message)) << text;
  EXPECT_THAT(problems_of(std::string_view("{}\0x", 4)),
              ElementsAre("c.json:1:3: found a NUL byte, expected JSON text in UTF-8"));
}

TEST(ConfigReading, AcceptsAByteOrderMark) { EXPECT_THAT(problems_of("\xEF\xBB\xBF{}"), ElementsAre()); }

TEST(ConfigReading, RefusesDeepNestingAndTooManyValuesAndShortensLongLists) {
  const auto nested = [](int depth) { return std::string(static_cast<std::size_t>(depth), '['); };
  EXPECT_THAT(problems_of(nested(100'000)), ElementsAre("c.json: nested deeper than 64 levels, expected at most that"));
  EXPECT_THAT(problems_of(nested(64) + std::string(64, ']')),
              ElementsAre("c.json: found an array of 1 item, expected a JSON object; enclose the settings in { }"));
  std::string many = "[0";
  for (int i = 0; i < 1'000'000; ++i) many += ",0";
  EXPECT_THAT(problems_of(many + "]"), ElementsAre("c.json: found more than 1000000 values, expected at most that"));
  std::string keys = "{\"a\": 0";
  for (int i = 0; i < 999; ++i) keys += ", \"k" + std::to_string(i) + "\": 0";
  const auto problems = problems_of(keys + "}");
  ASSERT_EQ(problems.size(), 101u);
  EXPECT_EQ(problems.back(), "c.json: and 900 more problems; mend these first");
}

TEST(ConfigReading, FilesThatCannotBeReadEndWithTheUsageCode) {
  const test::TemporaryFolder temporary;
  const auto& folder = temporary.path();
  Everything root;
  std::ofstream(folder / "huge.json") << '{' << std::string(17 << 20, ' ') << '}';
  for (const auto& file : {folder, folder / "missing.json", folder / "huge.json"}) {
    EXPECT_THAT(test::errors_of<UsageError>([&] { read_file(root, file); }),
                ElementsAre(testing::StartsWith(file.string() + ": ")));
  }
  std::ofstream(folder / "good.json") << R"({"data": {"path": "../t.csv"}})";
  read_file(root, folder / "good.json");
  EXPECT_EQ(root.data.path.resolved, folder.parent_path() / "t.csv");
}

TEST(ConfigReading, PathsStartAtTheFileOrAtTheCurrentFolderWhenOverridden) {
  EXPECT_EQ(reading(R"({"data": {"path": "/abs/x"}})").data.path.resolved, "/abs/x");
  EXPECT_EQ(reading(R"({"data": {"path": "x"}})", {"/data/path=x"}).data.path.resolved,
            std::filesystem::current_path() / "x");
  EXPECT_EQ(reading(R"({"data": {"path": "-"}})").data.path.resolved, "-");
  EXPECT_TRUE(reading("{}").data.path.resolved.empty());
}

// --- former names ----------------------------------------------------------------------------------------------------

TEST(ConfigRenaming, FormerNamesAreReadAndThePresentOnesWritten) {
  const std::string former = R"({"fit": {"rate": 0.5, "epochs": 7}, "model": {"type": "dense", "layers": [9, 8]},
                                "loss": {"terms": [{"type": "mse"}, {"type": "huber", "threshold": 3}]}})";
  Everything root = reading(former);
  EXPECT_EQ(root.training.learning_rate, 0.5);
  EXPECT_EQ(root.training.epochs, 7);
  EXPECT_THAT(dynamic_cast<const samples::Dense&>(*root.model).hidden, ElementsAre(9, 8));
  EXPECT_EQ(dynamic_cast<const samples::Huber&>(*root.loss.list[1]).delta, 3);
  Everything same = reading(R"({"training": {"learning_rate": 0.5, "epochs": 7}, "model": {"hidden": [9, 8]},
                               "loss": {"terms": [{"type": "mse"}, {"type": "huber", "delta": 3}]}})");
  EXPECT_EQ(to_json(root, Paths::as_written), to_json(same, Paths::as_written));
  EXPECT_THAT(to_json(root, Paths::as_written),
              testing::AllOf(testing::HasSubstr("\"learning_rate\""), testing::Not(testing::HasSubstr("\"rate\"")),
                             testing::Not(testing::HasSubstr("\"fit\"")), testing::Not(testing::HasSubstr("layers"))));
  EXPECT_THAT(dynamic_cast<const samples::Dense&>(*reading(R"({"model": {"units": [5]}})").model).hidden,
              ElementsAre(5));
  EXPECT_THAT(problems_of<samples::Renamed>(R"({"network": {"type": "linear"}})"), ElementsAre());
}

TEST(ConfigRenaming, BothNamesAtOnceAreAnErrorThatNamesThem) {
  EXPECT_THAT(problems_of(R"({"training": {"rate": 0.5, "learning_rate": 0.5}, "fit": {},
                      "model": {"layers": [9], "units": [9]}})"),
              testing::UnorderedElementsAre(
                  R"(c.json: /fit: the former name of "training", which is given here too; remove one of them)",
                  R"(c.json: /model/units: the former name of "hidden", which is given here too as "layers"; )"
                  "remove one of them",
                  R"(c.json: /training/rate: the former name of "learning_rate", which is given here too; )"
                  "remove one of them"));
  EXPECT_THAT(problems_of("{}", {R"(/training={"rate": 1, "learning_rate": 1})"}),
              ElementsAre(R"(--set /training: /training/rate: the former name of "learning_rate", )"
                          "which is given here too; remove one of them"));
}

TEST(ConfigRenaming, ProblemsNameTheKeyAsItIsWritten) {
  EXPECT_THAT(problems_of(R"({"fit": {"rate": 2, "epcohs": 3}})"),
              ElementsAre(R"(c.json: /fit/epcohs: unknown key; did you mean "epochs"?)",
                          "c.json: /fit/rate: found 2, expected a number in (0, 1]; the default is 0.001"));
  EXPECT_THAT(problems_of(R"({"model": {"type": "linear", "layers": [3]}})"),
              ElementsAre(R"(c.json: /model/layers: not a setting of type "linear"; it belongs to "dense")"));
  EXPECT_THAT(problems_of(R"({"training": {"learning_rte": 1}})"),
              ElementsAre(R"(c.json: /training/learning_rte: unknown key; did you mean "learning_rate"?)"));
  EXPECT_THAT(problems_of<samples::Renamed>("{}"),
              ElementsAre(testing::StartsWith(R"(c.json: /model: found no "type", expected)")));
}

TEST(ConfigRenaming, OverridesReachASettingByEitherName) {
  const std::string present = R"({"training": {"learning_rate": 0.5, "epochs": 7}})";
  const std::string former = R"({"fit": {"rate": 0.5, "epochs": 7}})";
  for (const std::string& json : {present, former}) {
    for (const auto* pointer : {"/training/learning_rate", "/training/rate", "/fit/learning_rate", "/fit/rate"}) {
      const Everything root = reading(json, {pointer + std::string("=0.25")});
      EXPECT_EQ(root.training.learning_rate, 0.25) << json << pointer;
      EXPECT_EQ(root.training.epochs, 7) << json << pointer;
    }
    EXPECT_EQ(reading(json, {R"(/fit={"rate": 0.125})"}).training.learning_rate, 0.125);
  }
  EXPECT_EQ(reading("{}", {"/fit/rate=0.25"}).training.learning_rate, 0.25);
  EXPECT_EQ(reading("{}", {"/training/rate=0.25", "/training/learning_rate=0.5"}).training.learning_rate, 0.5);
  EXPECT_EQ(reading("{}", {"/training/learning_rate=0.5", "/training/rate=0.25"}).training.learning_rate, 0.25);
  const auto appended = reading("{}", {"/model/layers/-=8"});
  EXPECT_THAT(dynamic_cast<const samples::Dense&>(*appended.model).hidden, ElementsAre(64, 16, 8));
  const auto terms = reading(R"({"loss": {"terms": [{"type": "huber", "delta": 2}]}})", {"/loss/terms/0/threshold=5"});
  EXPECT_EQ(dynamic_cast<const samples::Huber&>(*terms.loss.list[0]).delta, 5);
  EXPECT_THAT(problems_of(present, {"/fit/rate=2"}),
              ElementsAre("--set /fit/rate: /training/rate: found 2, expected a number in (0, 1]; "
                          "the default is 0.001"));
  EXPECT_THAT(problems_of("{}", {"/fit/rate=2"}),
              ElementsAre("--set /fit/rate: found 2, expected a number in (0, 1]; the default is 0.001"));
}

// "layers" means nothing yet when the first override is applied.
TEST(ConfigRenaming, ATypeChosenLaterMakesAFormerNameMeaningful) {
  const auto root =
      reading(R"({"model": {"type": "linear", "hidden": [3]}})", {"/model/layers=[9]", "/model/type=dense"});
  EXPECT_THAT(dynamic_cast<const samples::Dense&>(*root.model).hidden, ElementsAre(9));
}

// --- overrides -------------------------------------------------------------------------------------------------------

TEST(ConfigOverride, ReplacesValuesOfTheFileAndTakesOtherTextAsString) {
  const auto root =
      reading(R"({"training": {"epochs": 5}, "loss": {"terms": [{"type": "mse"}]}})",
              {"/training/epochs=7", "/training/epochs=8", "/model/type=linear", "/loss/terms/0/weight=2",
               "/loss/terms/-={\"type\": \"huber\"}", "/data/label=my label", "/data/columns/a~1b~0=numeric"});
  EXPECT_EQ(root.training.epochs, 8);
  EXPECT_EQ(root.model.type(), "linear");
  EXPECT_EQ(root.loss.list[0]->weight, 2);
  EXPECT_EQ(root.loss.list[1].type(), "huber");
  EXPECT_EQ(root.data.label, "my label");
  EXPECT_THAT(root.data.columns, ElementsAre(testing::Pair("id", "ignore"), testing::Pair("a/b~", "numeric")));
}

TEST(ConfigOverride, ChangesOneElementOfAnArrayTheFileLeavesOut) {
  const auto root = reading("{}", {"/model/hidden/1=32", "/model/hidden/-=8", "/loss/terms/-/type=huber"});
  EXPECT_THAT(dynamic_cast<const samples::Dense&>(*root.model).hidden, ElementsAre(64, 32, 8));
  EXPECT_EQ(root.loss.list[0].type(), "huber");
}

TEST(ConfigOverride, ProblemsNameTheOverrideInsteadOfTheFile) {
  EXPECT_THAT(problems_of(R"({"training": {"epochs": 0}})",
                          {"/training/epcohs=5", "/training/seed=x", "/trainin/x=1", "/loss/terms/0/weight=2",
                           "/model/hidden/7=1", "/training/epochs/x=1", "/data={\"label\": 3, \"lable\": 1}",
                           "/training/clip=1e999", "/data/label/-={\"a\":1,\"a\":2}"}),
              ElementsAre(R"(--set /loss/terms/0/weight: found "0" as an index into /loss/terms, )"
                          R"(expected "-", which appends, as the array is empty)",
                          R"(--set /model/hidden/7: found "7" as an index into /model/hidden, )"
                          R"(expected 0 to 1, or "-" to append)",
                          "--set /training/epochs/x: found 0 at /training/epochs, "
                          "expected an object or an array there",
                          "--set /training/clip: found 1e999, expected a number between -1.797e308 and 1.797e308",
                          "--set /data/label/-: /data/label/-/a: found this key twice, expected it once; remove one",
                          R"(--set /trainin/x: /trainin: unknown key; did you mean "training"?)",
                          R"(--set /data: /data/lable: unknown key; did you mean "label"?)",
                          R"(--set /data: /data/label: found 3, expected text in double quotes; write "3")",
                          R"(--set /training/epcohs: unknown key; did you mean "epochs"?)",
                          "c.json: /training/epochs: found 0, expected an integer in [1, 1000000]; "
                          "the default is 100",
                          R"(--set /training/seed: found "x", expected an integer; the default is 0)"));
}

TEST(ConfigOverride, AnotherTypeMakesSettingsOfTheFormerOneIllegal) {
  EXPECT_THAT(problems_of(R"({"model": {"hidden": [30]}})", {"/model/type=linear"}),
              ElementsAre(R"(c.json: /model/hidden: not a setting of type "linear"; it belongs to "dense")"));
}

TEST(ConfigOverride, MustBeAPointerAndAValue) {
  EXPECT_THAT(problems_of("{}", {"epochs=5"}),
              ElementsAre(R"(--set "epochs=5": expected /POINTER=VALUE; for example --set /training/epochs=50)"));
  EXPECT_THAT(problems_of("{}", {"/epochs"}),
              ElementsAre(R"(--set "/epochs": expected /POINTER=VALUE; for example --set /training/epochs=50)"));
  EXPECT_THAT(problems_of("{}", {"/a~2=1"}),
              ElementsAre(R"(--set "/a~2=1": found "~" in the pointer, expected ~0 (for "~") or ~1 (for "/"))"));
  EXPECT_THAT(problems_of("{}", {"/data/label=\xff"}),
              ElementsAre("--set /data/label: found bytes that are not UTF-8, expected UTF-8 text, which JSON needs"));
}

}  // namespace
}  // namespace ae::config::reading_test
