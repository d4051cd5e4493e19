// The toy kind "words": a text file with one word of equal length a line; each letter is an element, "." a missing one.
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "base/error.hpp"
#include "base/files.hpp"
#include "recipe/makers.hpp"
#include "toy.hpp"

namespace ae::toy {
namespace {

constexpr float kLetters = 26;

std::vector<model::Element> letters(std::size_t count) {
  std::vector<model::Element> elements;
  for (std::size_t i = 0; i < count; ++i) elements.push_back({"letter" + std::to_string(i), 0, false});
  return elements;
}

std::vector<std::string> read_words(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file) throw InputError(path.string() + ": cannot be read");
  std::vector<std::string> words;
  for (std::string word; std::getline(file, word);) {
    if (!words.empty() && word.size() != words.front().size()) {
      throw InputError(path.string() + ": word " + std::to_string(words.size()) + " has another length");
    }
    words.push_back(word);
  }
  if (words.empty()) throw InputError(path.string() + ": holds no words");
  return words;
}

model::Batch batch_of(const std::vector<std::string>& words) {
  const auto shape = {static_cast<std::int64_t>(words.size()), static_cast<std::int64_t>(words.front().size())};
  model::Batch batch{torch::zeros(shape), torch::ones(shape)};
  float* values = batch.values.data_ptr<float>();
  float* observed = batch.observed.data_ptr<float>();
  for (const auto& word : words) {
    for (const char c : word) {
      *values++ = c == '.' ? 0 : static_cast<float>(c - 'a') / kLetters;
      *observed++ = c == '.' ? 0 : 1;
    }
  }
  return batch;
}

class WordCopy final : public recipe::SampleCopy {
 public:
  WordCopy(const std::vector<std::string>& words, Output& output) : words_(words), output_(output) {}
  void add(std::int64_t sample, const Replaced& replaced, std::initializer_list<double> extra) override {
    std::string word = words_.at(static_cast<std::size_t>(sample));
    for (std::size_t i = 0; i < word.size(); ++i) {
      if (const auto value = replaced(i)) word[i] = letter(*value);
    }
    for (const double number : extra) word.append(1, ' ').append(std::to_string(number));
    text_.append(word).append(1, '\n');
  }
  void add_unread(std::int64_t sample) override {
    add(sample, [](std::size_t) { return std::nullopt; }, {});
  }
  void flush() override {
    output_.write(text_);
    text_.clear();
  }
  static char letter(double value) {
    return static_cast<char>('a' + std::clamp<long>(std::lround(value * kLetters), 0, 25));
  }

 private:
  const std::vector<std::string>& words_;
  Output& output_;
  std::string text_;
};

class WordStream final : public recipe::SampleStream {
 public:
  explicit WordStream(std::vector<std::string> inputs) : inputs_(std::move(inputs)) {}
  void for_each(const Visit& visit) override {
    constexpr std::size_t kWords = 16;
    std::int64_t number = 0;
    for (const auto& input : inputs_) {
      const auto all = read_words(input);
      for (std::size_t begin = 0; begin < all.size(); begin += kWords) {
        const auto end = std::min(begin + kWords, all.size());
        words_.assign(all.begin() + static_cast<std::ptrdiff_t>(begin), all.begin() + static_cast<std::ptrdiff_t>(end));
        recipe::SampleBlock block{batch_of(words_), {}, {}, {}, {}, {}};
        for (std::size_t i = begin; i < end; ++i) block.numbers.push_back(number++);
        visit(block);
      }
    }
  }
  std::vector<std::int64_t> count(const std::function<void()>& visit) override {
    std::vector<std::int64_t> sizes;
    for (const auto& input : inputs_) {
      visit();
      sizes.push_back(static_cast<std::int64_t>(read_words(input).size()));
    }
    return sizes;
  }
  bool has_labels() const override { return false; }
  std::string observed_text(std::int64_t sample, std::size_t element) const override {
    return {words_.at(static_cast<std::size_t>(sample)).at(element)};
  }
  std::string value_text(std::size_t, double value, recipe::Digits) const override { return {WordCopy::letter(value)}; }
  std::unique_ptr<recipe::SampleCopy> copy(Output& output, std::vector<std::string>, recipe::Digits) override {
    return std::make_unique<WordCopy>(words_, output);
  }

 private:
  std::vector<std::string> inputs_;
  std::vector<std::string> words_;  // of the block being visited
};

class WordKind final : public recipe::Kind {
 public:
  explicit WordKind(std::size_t length) : Kind({letters(length), {}, "words", "words"}), length_(length) {}
  void save(recipe::Metadata& metadata) const override { metadata["length"] = std::to_string(length_); }
  std::unique_ptr<recipe::SampleStream> open(const recipe::StreamOptions& options, Reporter&) const override {
    return std::make_unique<WordStream>(options.inputs);
  }

 private:
  std::size_t length_;
};

struct WordOptions : data::DataOptions {
  void fields(config::Fields& f) override { f.path("path", path, "Text file with one word a line."); }
};

class WordKindOptions final : public recipe::KindOptionsOf<WordOptions> {
 public:
  recipe::Dataset load(Reporter&, data::HoldOut hold_out, int) const override {
    const auto words = read_words(data::file_of(data().path));
    const auto held = static_cast<std::ptrdiff_t>(hold_out.fraction * static_cast<double>(words.size()));
    recipe::Dataset dataset;
    dataset.kind = std::make_unique<WordKind>(words.front().size());
    dataset.training = std::make_unique<model::TableSamples>(batch_of({words.begin() + held, words.end()}));
    dataset.held_out = std::make_unique<model::TableSamples>(batch_of({words.begin(), words.begin() + held}));
    dataset.summary = std::to_string(words.size()) + " words";
    dataset.data_sha256 = sha256_of_file(data::file_of(data().path));
    return dataset;
  }
  std::unique_ptr<recipe::Kind> restore(const recipe::Metadata& metadata) const override {
    return std::make_unique<WordKind>(std::stoul(recipe::entry(metadata, "length")));
  }
};

}  // namespace

const config::Entry<recipe::KindOptions> kWordKind{
    "words", "Words of equal length, one a line.",
    [] { return std::unique_ptr<recipe::KindOptions>(std::make_unique<WordKindOptions>()); }};

}  // namespace ae::toy
