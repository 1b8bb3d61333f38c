// SPDX-License-Identifier: Apache-2.0
#include "rivals.h"

#include "filling.h"
#include "lower_bits.h"
#include "reach.h"

#include <fmt/core.h>

#include <algorithm>

namespace mixgrad {
namespace {

/// Expands preferences [P] to an α of a choice's shape, the same for all columns.
Tensor alpha_of(const SlotChoice& choice, const std::vector<double>& preferences) {
  Tensor alpha = Tensor::empty(choice.alpha.shape());
  for (int64_t i = 0; i < alpha.size(); ++i) {
    alpha.data()[static_cast<size_t>(i)] = static_cast<float>(preferences[static_cast<size_t>(i) / choice.columns()]);
  }
  return alpha;
}

std::vector<Tensor> mean_alphas(const Assignment& a) {
  std::vector<Tensor> out;
  for (const SlotChoice& choice : a.choices()) {
    std::vector<double> means(choice.bits.size());
    for (int64_t i = 0; i < choice.alpha.size(); ++i) {
      const double value = choice.alpha.data()[static_cast<size_t>(i)];
      means[static_cast<size_t>(i) / choice.columns()] += value / static_cast<double>(choice.columns());
    }
    out.push_back(alpha_of(choice, means));
  }
  return out;
}

/// Builds all competing networks.
class Rivals {
 public:
  Rivals(const Graph& searched, Assignment& a, Budget& budget, const Judge& judge)
      : searched_(searched), a_(a), budget_(budget), judge_(judge), targets_(budget.targets()) {}

  Rival best() {
    from_arg_max();
    if (!judge_.quality) return all_[0];
    from_layers("whole layers", mean_alphas(a_));
    if (judge_.loss) from_layers("the sensitivities of layers", sensitivities(searched_, judge_.loss));
    from_uniform();
    for (Rival& rival : all_) {
      const auto same = std::ranges::find(all_, rival.chosen, &Rival::chosen);
      a_.restore(rival.chosen);
      rival.quality = same->quality ? *same->quality : judge_.quality(a_.graph());
    }
    return *std::ranges::max_element(all_, {}, &Rival::quality);
  }

 private:
  void from_arg_max() {
    lower_or_reach(searched_, a_, budget_);
    add_filled_up("the arg max");
  }

  /// Lowers whole choices as `alphas` prefer; the α of the search decides on the rest of the budget.
  void from_layers(const char* start, const std::vector<Tensor>& alphas) {
    Assignment whole(searched_);
    for (size_t i = 0; i < alphas.size(); ++i) whole.prefer(i, alphas[i]);
    Budget budget(whole, targets_);
    if (!lower(whole, budget, Step::WHOLE_CHOICES)) return;
    a_.restore(whole.chosen());
    add_filled_up(start);
  }

  /// Each as it is, and moved towards α within the rest of the budget.
  void from_uniform() {
    for (const Uniform& u : largest_uniform(a_, budget_)) {
      all_.push_back({in_words(u), u.chosen});
      a_.restore(u.chosen);
      follow_alpha(a_, budget_);
      raise(a_, budget_);
      all_.push_back({in_words(u), a_.chosen()});
    }
  }

  /// Adds three variants: with the budget filled, with all bits that it allows, and only with bits that cost nothing. A
  /// network trained with fewer bits can be worse with more. The fullest comes first and wins ties.
  void add_filled_up(const std::string& start) {
    const Assignment::Chosen lowered = a_.chosen();
    raise(a_, budget_);
    const Assignment::Chosen raised = a_.chosen();
    fill_up(a_, budget_);
    all_.push_back({start, a_.chosen()});
    all_.push_back({start, raised});
    a_.restore(lowered);
    raise_for_nothing();
    all_.push_back({start, a_.chosen()});
  }

  /// Raises activations as far as that changes no cost.
  void raise_for_nothing() {
    const std::vector<Target> present = budget_.at_present();
    Budget budget(a_, present);
    raise_activations(a_, budget);
  }

  const Graph& searched_;
  Assignment& a_;
  Budget& budget_;
  const Judge& judge_;
  std::span<const Target> targets_;
  std::vector<Rival> all_;
};

}  // namespace

Rival best_rival(const Graph& searched, Assignment& a, Budget& budget, const Judge& judge) {
  return Rivals(searched, a, budget, judge).best();
}

std::vector<Tensor> sensitivities(const Graph& searched, const std::function<double(const Graph&)>& loss) {
  Assignment a(searched);
  a.set_all_largest();
  const double of_largest = -loss(a.graph());
  std::vector<Tensor> out;
  for (size_t i = 0; i < a.choices().size(); ++i) {
    const std::vector<size_t> largest = a.choices()[i].chosen;
    std::vector<double> preferences;
    for (size_t p = 0; p + 1 < a.choices()[i].bits.size(); ++p) {
      a.set(i, a.choices()[i].filled(p));
      preferences.push_back(-loss(a.graph()));
    }
    preferences.push_back(of_largest);
    a.set(i, largest);
    out.push_back(alpha_of(a.choices()[i], preferences));
  }
  return out;
}

void prefer_by_sensitivity(const Graph& searched, const std::function<double(const Graph&)>& loss) {
  const std::vector<Tensor> preferred = sensitivities(searched, loss);
  const Assignment a(searched);
  for (size_t i = 0; i < preferred.size(); ++i)
    std::ranges::copy(preferred[i].data(), Tensor(a.choices()[i].alpha).data().begin());
}

std::vector<Uniform> largest_uniform(Assignment& a, Budget& budget) {
  const Assignment::Chosen before = a.chosen();
  std::vector<Uniform> held;
  for (Uniform& u : uniform_networks(a)) {
    a.restore(u.chosen);
    const auto excess = cost::if_defined([&] { return budget.excess(); });
    if (excess && *excess == 0) held.push_back(std::move(u));
  }
  a.restore(before);
  const auto has_more = [](const Uniform& than, const Uniform& u) {
    return &than != &u && u.weight_bits >= than.weight_bits && u.activation_bits >= than.activation_bits;
  };
  std::vector<Uniform> out;
  std::ranges::copy_if(held, std::back_inserter(out), [&](const Uniform& u) {
    return std::ranges::none_of(held, [&](const Uniform& other) { return has_more(u, other); });
  });
  return out;
}

std::string in_words(const Uniform& u) {
  return fmt::format("uniform {}-bit weights, {}-bit activations", u.weight_bits, u.activation_bits);
}

}  // namespace mixgrad
