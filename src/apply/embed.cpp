#include "apply/embed.hpp"

#include <ATen/Functions.h>
#include <torch/types.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <span>

#include "apply/embed_images.hpp"
#include "apply/passing.hpp"
#include "apply/streams.hpp"
#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/text.hpp"
#include "loss/codes.hpp"
#include "recipe/table_schema.hpp"

namespace ae::apply {
namespace {

// What the network says of a block.
struct Answers {
  Answers(const loss::Autoencoder& pair, const model::Batch& batch, bool reconstructed)
      : codes(loss::codes(pair, batch).contiguous()) {
    if (!reconstructed) return;
    const auto reconstruction = pair.reconstruct(batch);
    expected = reconstruction.expected.to(at::kFloat).contiguous();
    loss = (reconstruction.elements.sum(1) / batch.observed.sum(1).clamp_min(1)).contiguous();
  }
  at::Tensor codes;           // [samples, numbers of a code]
  at::Tensor expected, loss;  // [samples, elements], in network units, and [samples]; undefined unless asked for
};

// Gathers what the model changes of its input, and where the truth is known what it observes of that.
class ErrorGatherer {
 public:
  ErrorGatherer(const recipe::Checkpoint& checkpoint, const EmbedOptions& options)
      : asked_(*options.errors), schema_(numeric_schema(checkpoint)), keep_(options.stream.reading.keep) {
    // "id" and "label" may be asked for without being kept columns.
    std::erase_if(keep_, [](const auto& name) { return name == "id" || name == "label"; });
    const auto place = [&](const std::string& column) {
      if (column.empty()) return std::size_t{0};
      // What passes through under these names is text, and not kept as other columns are.
      if (column == "id" || column == "label")
        throw UsageError("--true and --weight name columns of numbers, and " + ae::quoted(column) +
                         " passes through as text; rename the column in the input");
      const auto found = std::ranges::find(keep_, column);
      const auto at = static_cast<std::size_t>(found - keep_.begin());
      if (found == keep_.end()) keep_.push_back(column);
      return at;
    };
    truth_ = place(asked_.truth);
    weight_ = place(asked_.weight);
    for (const auto index : schema_.features()) {
      const auto& column = schema_.columns[index];
      if (column.role == data::Role::numeric) {
        elements_.push_back(static_cast<std::int64_t>(scalers_.size()));
        names_.push_back(column.name);
      }
      scalers_.push_back(column.scaler);
    }
    if (names_.empty() || names_.size() > kMostColumns)
      throw UsageError(checkpoint.name() + ": reads " + counted(names_.size(), "columns of numbers") +
                       "; --error-model is for models of 1 to " + std::to_string(kMostColumns));
    auto observed = code_names(1, checkpoint.autoencoder().network().latent_size());
    latents_ = observed.size();
    if (!asked_.truth.empty()) observed.emplace_back("loss");
    samples_.emplace(std::move(observed), latents_, names_, asked_.truth, asked_.seed);
  }

  // What the stream is to keep, of which the first columns are those that pass through.
  std::vector<std::string> keep(const std::vector<std::string>& asked) const {
    auto all = asked;
    for (const auto& name : keep_)
      if (std::ranges::find(all, name) == all.end()) all.push_back(name);
    return all;
  }

  void add(const recipe::SampleBlock& block, const Answers& answers) {
    const auto& codes = answers.codes;
    const auto loss = answers.loss.to(at::kDouble);
    const auto width = answers.expected.size(1);
    std::vector<double> observed(latents_ + !asked_.truth.empty()), error(elements_.size());
    for (std::int64_t i = 0; i < block.batch.samples(); ++i) {
      if (Passing::unread(block, i)) continue;
      for (std::size_t k = 0; k < latents_; ++k)
        observed[k] = static_cast<double>(codes.data_ptr<float>()[i * codes.size(1) + static_cast<std::int64_t>(k)]);
      if (!asked_.truth.empty()) observed.back() = loss.data_ptr<double>()[i];
      for (std::size_t c = 0; c < elements_.size(); ++c) {
        const auto at = i * width + elements_[c];
        const auto& scaler = scalers_[static_cast<std::size_t>(elements_[c])];
        error[c] = block.batch.observed.data_ptr<float>()[at] > 0
                       ? scaler.unscale(answers.expected.data_ptr<float>()[at]) -
                             scaler.unscale(block.batch.values.data_ptr<float>()[at])
                       : std::numeric_limits<double>::quiet_NaN();
      }
      samples_->add(observed, error, asked_.truth.empty() ? 0 : number(block, i, truth_),
                    asked_.weight.empty() ? 1 : number(block, i, weight_));
    }
  }

  fit::ErrorModel finish(const recipe::Checkpoint& checkpoint, const std::string& input, Reporter& reporter) {
    auto found = samples_->model(input);
    found.model = checkpoint.digest();
    if (samples_->left_out() > 0)
      reporter.warning(input + ": " + counted(samples_->left_out(), "rows") +
                       " left out of the error model: a cell, the truth or the weight is missing, or the weight is 0");
    return found;
  }

 private:
  static constexpr std::size_t kMostColumns = 4096;

  static data::Schema numeric_schema(const recipe::Checkpoint& checkpoint) {
    auto schema = recipe::table_schema(checkpoint);
    if (!schema)
      throw UsageError(checkpoint.name() + ": was trained on " + std::string(checkpoint.kind().domain().noun()) +
                       "; --error-model is for tables and arrays");
    if (checkpoint.autoencoder().members() > 1)
      throw UsageError(checkpoint.name() + ": consists of " + counted(checkpoint.autoencoder().members(), "networks") +
                       ", each with codes of its own; --error-model is for one, set /model/members to 1");
    return *schema;
  }

  double number(const recipe::SampleBlock& block, std::int64_t sample, std::size_t column) const {
    const auto& text = block.kept_text(sample, column);
    const auto found = parse_number(text);
    if (found) return *found;
    if (std::ranges::find(schema_.missing, text) != schema_.missing.end())
      return std::numeric_limits<double>::quiet_NaN();
    throw InputError("sample " + ae::quoted(Passing::id_of(block, sample)) + ": column " + ae::quoted(keep_[column]) +
                     ": found " + ae::quoted(text) + ", expected a number");
  }

  const EmbedOptions::Errors& asked_;
  data::Schema schema_;
  std::vector<std::string> keep_;
  std::size_t truth_ = 0, weight_ = 0, latents_ = 0;  // columns of keep_
  std::vector<std::int64_t> elements_;                // of numbers
  std::vector<std::string> names_;
  std::vector<data::Scaler> scalers_;  // of all elements
  std::optional<fit::ErrorSamples> samples_;
};

EmbedTotals embed_samples(const recipe::Checkpoint& checkpoint, const EmbedOptions& options, CodeFile& file,
                          Reporter& reporter) {
  const auto& pair = checkpoint.autoencoder();
  auto names = code_names(pair.members(), pair.network().latent_size());
  if (options.loss) names.emplace_back("loss");
  Passing passing(options.stream.reading, std::move(names));
  UnreadSamples unread(reporter);
  std::optional<ErrorGatherer> errors;
  if (options.errors) errors.emplace(checkpoint, options);
  auto how = options.stream;
  if (errors) how.reading.keep = errors->keep(how.reading.keep);
  const auto stream = open_stream(checkpoint, how, reporter);
  EmbedTotals totals;
  bool begun = false;
  const auto begin = [&] {
    if (!begun) passing.begin(file, stream->has_labels());
    begun = true;
  };
  stream->for_each([&](const recipe::SampleBlock& block) {
    begin();
    const Answers answers(pair, block.batch, options.loss || errors);
    const auto codes = options.loss ? at::cat({answers.codes, answers.loss.unsqueeze(1)}, 1) : answers.codes;
    const auto numbers = static_cast<std::size_t>(codes.size(1));
    for (std::int64_t i = 0; i < block.batch.samples(); ++i) {
      std::span<const float> code{codes.data_ptr<float>() + i * codes.size(1), numbers};
      const bool read = !Passing::unread(block, i);
      if (!read) {
        unread.tell(block.problems[static_cast<std::size_t>(i)]);
        code = {};
      }
      const auto id = Passing::id_of(block, i);
      check_finite(code, id);
      file.add(id, code, passing.texts_of(block, i));
      totals.samples += read;
    }
    if (errors) errors->add(block, answers);
    file.flush();  // a block ends where the input makes us wait: answer what is there
  });
  begin();
  file.finish();
  totals.bad = stream->bad();
  check_any(totals.samples, totals.bad, options.stream.allow_empty);
  if (errors) totals.errors = errors->finish(checkpoint, options.stream.inputs.front(), reporter);
  return totals;
}

}  // namespace

std::vector<std::string> code_names(std::int64_t members, std::int64_t numbers) {
  std::vector<std::string> names;
  for (std::int64_t z = 0; z < members * numbers; ++z) names.push_back("z" + std::to_string(z));
  return names;
}

EmbedTotals embed(const recipe::Checkpoint& checkpoint, const EmbedOptions& options, CodeFile& file,
                  Reporter& reporter) {
  check_network(checkpoint, "ae-embed", "encode samples");
  const bool images = checkpoint.kind().domain().gridded();
  if (images && options.loss)
    throw UsageError(checkpoint.name() + ": was trained on images; --loss is for tables, ae-score scores images");
  return images ? embed_images(checkpoint, options, file, reporter)
                : embed_samples(checkpoint, options, file, reporter);
}

}  // namespace ae::apply
