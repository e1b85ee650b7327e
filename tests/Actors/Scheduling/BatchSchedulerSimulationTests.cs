using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Actors.Scheduling;
using Llama3Cluster.Shards.Execution;
using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Actors.Tests.Scheduling;

/// <summary>Seeded random lives of a scheduler: requests, cancellations, scarce blocks, lost pipelines.</summary>
public sealed class BatchSchedulerSimulationTests
{
    [Fact]
    public void Every_sequence_must_get_its_own_text_whatever_happens_around_it()
    {
        long reused = 0;
        for (int seed = 0; seed < 2000; seed++)
            reused += new Life(seed).Run();

        Assert.True(reused > 100_000, $"stages that survived reused {reused} rows");
    }

    private sealed class Life : ISchedulerListener
    {
        private const int Context = 200;

        private readonly int _seed;
        private readonly Random _random;
        private readonly int _stages;
        private readonly int _blocks;
        private readonly SchedulerOptions _options;
        private readonly BatchScheduler _scheduler;
        private readonly Queue<Step> _inFlight = new();
        private readonly Dictionary<string, List<int>> _answers = [];
        private readonly HashSet<string> _unfinished = [];
        private readonly SimulatedPipeline[] _pipeline;
        private int _submitted;
        private long _reused;

        public Life(int seed)
        {
            _seed = seed;
            _random = new Random(seed);
            _stages = _random.Next(1, 5);
            _blocks = (Context / 16) + 1 + _random.Next(0, 40);
            _options = new SchedulerOptions(_random.Next(1, 64), _random.Next(1, 10), 100, Context);
            _scheduler = new BatchScheduler(_options);
            _pipeline = [.. Enumerable.Range(0, _stages).Select(_ => NewStage())];
            _scheduler.Activate(_stages, _blocks);
        }

        /// <summary>Returns how many rows stages did not compute again.</summary>
        public long Run()
        {
            int events = _random.Next(20, 150);
            for (int i = 0; i < events; i++)
                Act();
            for (int i = 0; _unfinished.Count > 0; i++)
            {
                Assert.True(i < 100_000, $"seed {_seed}: {_unfinished.Count} sequences do not end");
                ScheduleAll();
                CompleteOne();
            }

            Assert.Equal(0, _scheduler.RunningCount + _scheduler.WaitingCount);
            Assert.Equal(0, _scheduler.UsedBlockCount);
            return _reused + _pipeline.Sum(stage => stage.Reused);
        }

        public void OnToken(Sequence sequence, float logProb, ReadOnlySpan<TokenLogProb> top)
        {
            Assert.Contains(sequence.Id, _unfinished);
            _answers[sequence.Id].Add(sequence.Tokens[^1]);
            Check(sequence);
        }

        public void OnFinished(Sequence sequence, FinishReason reason)
        {
            Assert.True(_unfinished.Remove(sequence.Id), $"seed {_seed}: {sequence.Id} ended twice");
            Check(sequence);
            bool full = sequence.GeneratedCount == sequence.MaxTokens || sequence.Length == Context;
            Assert.Equal(reason == FinishReason.Length, full && !sequence.EndTokens.Contains(sequence.Tokens[^1]));
        }

        private void Act()
        {
            switch (_random.Next(12))
            {
                case < 3:
                    Submit();
                    break;
                case < 6:
                    ScheduleAll();
                    break;
                case < 10:
                    CompleteOne();
                    break;
                case 10 when _unfinished.Count > 0 && _random.Next(2) == 0:
                    string id = _unfinished.ElementAt(_random.Next(_unfinished.Count));
                    Assert.NotNull(_scheduler.Remove(id));
                    _unfinished.Remove(id);
                    break;
                case 11 when _random.Next(4) == 0:
                    Lose();
                    break;
                default:
                    break;
            }
        }

        // One stage is lost, several are, or none; what was under way has passed through some of the stages, and is lost.
        private void Lose()
        {
            int reached = _inFlight.Count, lost = _random.Next(_stages + 1);
            for (int i = 0; i < _stages; i++)
            {
                reached = _random.Next(reached + 1);
                foreach (Step step in _inFlight.Take(reached))
                    _pipeline[i].Execute(step);
                if (i == lost || _random.Next(6) == 0)
                {
                    _reused += _pipeline[i].Reused;
                    _pipeline[i] = NewStage();
                }

                _pipeline[i].Reset();
            }

            _inFlight.Clear();
            if (_random.Next(2) == 0)
                _scheduler.Deactivate();
            Assert.Empty(_scheduler.Activate(_stages, _blocks));
        }

        private SimulatedPipeline NewStage() => new(_options.MaxSequences, _blocks);

        private SampledTokens Execute(Step step)
        {
            SampledTokens[] results = [.. _pipeline.Select(stage => stage.Execute(step))];
            foreach (SampledTokens result in results)
                Assert.Equal(results[0].Rows.ToArray(), result.Rows.ToArray());
            return results[0];
        }

        private void Submit()
        {
            if (!_scheduler.HasRoom)
                return;
            // Few different beginnings, so that prefixes are shared.
            int shared = _random.Next(0, 60), own = _random.Next(1, 20), kind = _random.Next(3);
            int[] prompt = [.. Enumerable.Range(0, shared).Select(i => (i * (kind + 7)) % 50), .. Enumerable.Range(0, own).Select(_ => _random.Next(SimulatedPipeline.Vocabulary))];
            string id = $"g{_submitted++}";
            var sampling = _random.Next(3) == 0 ? new SamplingParameters { FrequencyPenalty = 1 } : SamplingParameters.Greedy;
            var ends = Enumerable.Range(0, _random.Next(0, 40)).ToHashSet();
            int most = _random.Next(1, Context - prompt.Length + 20);
            _answers[id] = [];
            _unfinished.Add(id);
            _scheduler.Submit(new Sequence(id, prompt, [], sampling, most, ends));
        }

        private void ScheduleAll()
        {
            for (var step = new Step(); _scheduler.TrySchedule(step); step = new Step())
            {
                Assert.InRange(step.RowCount, 1, _options.MaxRows);
                Assert.InRange(_scheduler.StepsInFlight, 1, _stages + 2);
                _inFlight.Enqueue(step);
            }
        }

        private void CompleteOne()
        {
            if (_inFlight.TryDequeue(out Step? step))
                _scheduler.Complete(Execute(step), this);
        }

        private void Check(Sequence sequence)
        {
            int[] text = sequence.Tokens.ToArray();
            Assert.True(SimulatedPipeline.Next(text[..^1]) == text[^1], $"seed {_seed}: {sequence.Id} took a wrong turn at token {sequence.GeneratedCount - 1}");
        }
    }
}
