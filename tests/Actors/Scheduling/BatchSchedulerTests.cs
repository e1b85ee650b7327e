using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Actors.Scheduling;
using Llama3Cluster.Shards.Execution;
using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Actors.Tests.Scheduling;

public sealed class BatchSchedulerTests : ISchedulerListener
{
    private readonly List<string> _finished = [];

    void ISchedulerListener.OnToken(Sequence sequence, float logProb, ReadOnlySpan<TokenLogProb> top)
    {
    }

    void ISchedulerListener.OnFinished(Sequence sequence, FinishReason reason) => _finished.Add($"{sequence.Id}:{reason}");

    [Fact]
    public void Decoding_sequences_must_fill_as_many_steps_as_there_are_stages()
    {
        BatchScheduler scheduler = Active(stages: 4, rows: 64);
        for (int i = 0; i < 8; i++)
            scheduler.Submit(NewSequence($"g{i}", [i, 1, 2]));
        var pipeline = new SimulatedPipeline(16, 100);
        Step prefill = Next(scheduler);
        Assert.Equal(24, prefill.RowCount);
        scheduler.Complete(pipeline.Execute(prefill), this);

        var rows = new List<int>();
        for (var step = new Step(); scheduler.TrySchedule(step); step = new Step())
            rows.Add(step.RowCount);

        Assert.Equal([2, 2, 2, 2], rows);
    }

    [Theory]
    [InlineData(1, 6)]
    [InlineData(2, 3)]
    [InlineData(3, 2)]
    public void Sequences_that_began_apart_must_come_to_share_steps(int stages, int share)
    {
        BatchScheduler scheduler = Active(stages, rows: 64);
        var pipeline = new SimulatedPipeline(16, 1000);
        var flying = new Queue<Step>();
        for (int i = 0; i < 6; i++)
        {
            scheduler.Submit(NewSequence($"g{i}", [i, 1, 2]));
            flying.Enqueue(Next(scheduler));
            if (flying.Count >= scheduler.MaxStepsInFlight)
                scheduler.Complete(pipeline.Execute(flying.Dequeue()), this);
        }

        for (int round = 0; round < 12; round++)
        {
            scheduler.Complete(pipeline.Execute(flying.Dequeue()), this);
            for (var step = new Step(); scheduler.TrySchedule(step); step = new Step())
                flying.Enqueue(step);
        }

        Assert.Equal(Enumerable.Repeat(share, stages), flying.Select(step => step.RowCount));
    }

    [Fact]
    public void A_long_prompt_must_be_cut_into_chunks_that_follow_each_other_without_waiting()
    {
        BatchScheduler scheduler = Active(stages: 2, rows: 32);
        scheduler.Submit(NewSequence("g", [.. Enumerable.Range(0, 100)]));

        var steps = new List<Step>();
        for (var step = new Step(); scheduler.TrySchedule(step); step = new Step())
            steps.Add(step);

        Assert.Equal([32, 32, 32, 4], steps.Select(step => step.RowCount));
        Assert.Equal([0, 32, 64, 96], steps.Select(step => step.Runs[0].FirstPosition));
        Assert.Equal([false, false, false, true], steps.Select(step => step.Runs[0].Samples));
    }

    [Fact]
    public void A_prompt_that_fits_a_step_must_be_dealt_out_over_the_stages()
    {
        Assert.Equal([100], Chunks(stages: 1, prompt: 100));
        Assert.Equal([100, 64, 36], Chunks(stages: 2, prompt: 200));
        Assert.Equal([64, 36], Chunks(stages: 4, prompt: 100));
        Assert.Equal([128, 125, 64, 61], Chunks(stages: 2, prompt: 378));

        int[] Chunks(int stages, int prompt)
        {
            var scheduler = new BatchScheduler(new SchedulerOptions(128, 16, 100, 512));
            scheduler.Activate(stages, 100);
            scheduler.Submit(NewSequence("g", [.. Enumerable.Range(0, prompt)]));
            var rows = new List<int>();
            for (var step = new Step(); scheduler.TrySchedule(step); step = new Step())
                rows.Add(step.RowCount);
            return [.. rows];
        }
    }

    [Fact]
    public void Decoding_must_go_on_beside_the_chunks_of_a_long_prompt()
    {
        BatchScheduler scheduler = Active(stages: 1, rows: 16);
        var pipeline = new SimulatedPipeline(16, 100);
        scheduler.Submit(NewSequence("short", [1]));
        scheduler.Complete(pipeline.Execute(Next(scheduler)), this);
        scheduler.Submit(NewSequence("long", [.. Enumerable.Range(0, 100)]));

        Step step = Next(scheduler);

        Assert.Equal(2, step.RunCount);
        Assert.Equal([1, 15], step.Runs.ToArray().Select(run => run.RowCount));
    }

    [Fact]
    public void A_prompt_that_begins_like_an_earlier_one_must_reuse_its_blocks()
    {
        BatchScheduler scheduler = Active(stages: 1, rows: 100);
        var pipeline = new SimulatedPipeline(16, 100);
        int[] prompt = [.. Enumerable.Range(0, 40)];
        scheduler.Submit(NewSequence("first", prompt));
        scheduler.Complete(pipeline.Execute(Next(scheduler)), this);
        Sequence second = NewSequence("second", [.. prompt, 7]);
        scheduler.Submit(second);

        Step step = Next(scheduler);

        SequenceRun run = step.Runs.ToArray().Single(r => r.Begins);
        Assert.Equal(32, run.FirstPosition);
        Assert.Equal(9, run.RowCount);
        Assert.Equal(32, second.CachedTokens);
    }

    [Fact]
    public void A_sequence_with_penalties_must_not_skip_what_the_sampler_has_to_see()
    {
        BatchScheduler scheduler = Active(stages: 1, rows: 100);
        var pipeline = new SimulatedPipeline(16, 100);
        int[] prompt = [.. Enumerable.Range(0, 40)];
        scheduler.Submit(NewSequence("first", prompt));
        scheduler.Complete(pipeline.Execute(Next(scheduler)), this);
        scheduler.Submit(new Sequence("second", prompt, [], new SamplingParameters { PresencePenalty = 1 }, 5, new HashSet<int>()));

        Assert.Equal(0, Next(scheduler).Runs.ToArray().Single(r => r.Begins).FirstPosition);
    }

    [Fact]
    public void Removing_a_running_sequence_must_free_its_blocks_at_once()
    {
        BatchScheduler scheduler = Active(stages: 1, rows: 100);
        scheduler.Submit(NewSequence("g", [.. Enumerable.Range(0, 40)]));
        Next(scheduler);
        Assert.Equal(3, scheduler.UsedBlockCount);

        Assert.NotNull(scheduler.Remove("g"));

        Assert.Equal(0, scheduler.UsedBlockCount);
        Assert.Null(scheduler.Remove("g"));
    }

    [Fact]
    public void The_result_of_a_removed_sequence_must_not_reach_the_next_owner_of_its_slot()
    {
        BatchScheduler scheduler = Active(stages: 1, rows: 100);
        var pipeline = new SimulatedPipeline(16, 100);
        scheduler.Submit(NewSequence("old", [1, 2, 3]));
        Step late = Next(scheduler);
        scheduler.Remove("old");
        Sequence heir = NewSequence("heir", [4]);
        scheduler.Submit(heir);
        Step step = Next(scheduler);

        scheduler.Complete(pipeline.Execute(late), this);
        Assert.Equal(0, heir.GeneratedCount);
        scheduler.Complete(pipeline.Execute(step), this);
        Assert.Equal(1, heir.GeneratedCount);
    }

    [Fact]
    public void A_new_pipeline_must_refuse_what_it_can_never_hold()
    {
        BatchScheduler scheduler = Active(stages: 1, rows: 100);
        scheduler.Submit(NewSequence("large", [.. Enumerable.Range(0, 90)]));
        scheduler.Submit(NewSequence("small", [1]));

        IReadOnlyList<Sequence> misfits = scheduler.Activate(1, kvBlocks: 2);

        Assert.Equal("large", Assert.Single(misfits).Id);
        Assert.Equal(1, scheduler.WaitingCount);
    }

    [Fact]
    public void A_sequence_that_breaks_its_pipeline_each_time_must_be_given_up_and_no_other()
    {
        BatchScheduler scheduler = Active(stages: 1, rows: 100);
        Sequence innocent = NewSequence("innocent", [4, 5]);
        scheduler.Submit(NewSequence("poison", [1, 2, 3]));
        scheduler.Submit(innocent);
        var givenUp = new List<Sequence>();

        for (int life = 0; life < 20 && innocent.GeneratedCount < 20; life++)
        {
            scheduler.Activate(1, 100);
            var pipeline = new SimulatedPipeline(16, 100);
            for (var step = new Step(); scheduler.TrySchedule(step); step = new Step())
            {
                if (scheduler.Find("poison") is { LastStep: >= 0 } poison && poison.LastStep == step.Number)
                {
                    givenUp.AddRange(scheduler.Lose());
                    break;
                }

                scheduler.Complete(pipeline.Execute(step), this);
            }
        }

        Assert.Equal("poison", Assert.Single(givenUp).Id);
        Assert.Equal(["innocent:Length"], _finished);
        Assert.Equal(0, scheduler.UsedBlockCount);
    }

    [Fact]
    public void Sequences_that_make_progress_between_losses_must_never_be_given_up()
    {
        BatchScheduler scheduler = Active(stages: 1, rows: 100);
        Sequence sequence = NewSequence("long", [1, 2, 3]);
        scheduler.Submit(sequence);

        for (int life = 0; life < 10; life++)
        {
            scheduler.Activate(1, 100);
            scheduler.Complete(new SimulatedPipeline(16, 100).Execute(Next(scheduler)), this);
            Next(scheduler);
            Assert.Empty(scheduler.Lose());
        }

        Assert.Equal(10, sequence.GeneratedCount);
    }

    [Fact]
    public void An_end_token_must_end_the_sequence_before_its_limit()
    {
        BatchScheduler scheduler = Active(stages: 1, rows: 100);
        var pipeline = new SimulatedPipeline(16, 100);
        int end = SimulatedPipeline.Next([5]);
        scheduler.Submit(new Sequence("g", [5], [], SamplingParameters.Greedy, 10, new HashSet<int> { end }));
        scheduler.Complete(pipeline.Execute(Next(scheduler)), this);

        Assert.Equal(["g:EndToken"], _finished);
    }

    [Fact]
    public void After_a_loss_a_sequence_must_go_through_again_in_the_blocks_that_it_had()
    {
        BatchScheduler scheduler = Active(stages: 1, rows: 100);
        var survivor = new SimulatedPipeline(16, 100);
        scheduler.Submit(NewSequence("other", [.. Enumerable.Range(50, 20)]));
        Sequence sequence = NewSequence("g", [.. Enumerable.Range(0, 40)]);
        scheduler.Submit(sequence);
        scheduler.Complete(survivor.Execute(Next(scheduler)), this);
        scheduler.Complete(survivor.Execute(Next(scheduler)), this);
        int[] before = [.. sequence.Blocks];

        scheduler.Lose();
        scheduler.Activate(1, 100);
        survivor.Reset();
        Step step = Next(scheduler);

        Assert.Equal(before, sequence.Blocks);
        Assert.Equal([0, 0], step.Runs.ToArray().Select(run => run.FirstPosition));
        Assert.Equal(0, sequence.CachedTokens);
        (long reused, long computed) = (survivor.Reused, survivor.Computed);
        var fresh = new SimulatedPipeline(16, 100);
        Assert.Equal(fresh.Execute(step).Rows.ToArray(), survivor.Execute(step).Rows.ToArray());
        // 41 and 21 rows had been computed; the last sampled tokens had not been sent yet.
        Assert.Equal(62, survivor.Reused - reused);
        Assert.Equal(2, survivor.Computed - computed);
        Assert.Equal(62, scheduler.RowsReplayed);
    }

    [Fact]
    public void A_stale_block_must_not_count_as_cached_until_its_rows_are_scheduled_again()
    {
        BatchScheduler scheduler = Active(stages: 1, rows: 100);
        var pipeline = new SimulatedPipeline(16, 100);
        int[] prompt = [.. Enumerable.Range(0, 40)];
        scheduler.Submit(NewSequence("first", prompt));
        scheduler.Complete(pipeline.Execute(Next(scheduler)), this);
        scheduler.Remove("first");
        scheduler.Activate(1, 100);

        Sequence second = NewSequence("second", [.. prompt, 7]), third = NewSequence("third", [.. prompt, 8]);
        scheduler.Submit(second);
        scheduler.Submit(third);
        Step step = Next(scheduler);

        Assert.Equal(0, second.CachedTokens);
        Assert.Equal(32, third.CachedTokens); // the rows before it in the step fill the blocks
        Assert.Equal([0, 32], step.Runs.ToArray().Select(run => run.FirstPosition));
        Assert.Equal(second.Blocks.Take(2), third.Blocks.Take(2));
    }

    [Fact]
    public void A_pipeline_with_another_number_of_blocks_must_begin_with_none()
    {
        BatchScheduler scheduler = Active(stages: 1, rows: 100);
        scheduler.Submit(NewSequence("g", [.. Enumerable.Range(0, 40)]));
        Next(scheduler);

        scheduler.Activate(1, 4);
        Next(scheduler);

        Assert.Equal(4, scheduler.BlockCount);
        Assert.Equal(3, scheduler.UsedBlockCount);
        scheduler.Remove("g");
        Assert.Equal(0, scheduler.UsedBlockCount);
    }

    [Fact]
    public void A_sequence_with_penalties_must_find_its_blocks_again_and_pass_through_them_whole()
    {
        BatchScheduler scheduler = Active(stages: 1, rows: 100);
        var penalised = new Sequence("g", [.. Enumerable.Range(0, 40)], [], new SamplingParameters { PresencePenalty = 1 }, 5, new HashSet<int>());
        scheduler.Submit(penalised);
        scheduler.Complete(new SimulatedPipeline(16, 100).Execute(Next(scheduler)), this);
        int[] before = [.. penalised.Blocks];

        scheduler.Lose();
        scheduler.Activate(1, 100);

        Assert.Equal(0, Assert.Single(Next(scheduler).Runs.ToArray()).FirstPosition);
        Assert.Equal(before, penalised.Blocks);
    }

    // The blocks that are free go to others; what is left of a sequence's old ones is found again.
    [Fact]
    public void A_block_that_was_handed_out_after_a_loss_must_not_be_found_by_its_old_tokens()
    {
        var scheduler = new BatchScheduler(new SchedulerOptions(100, 16, 100, 128));
        scheduler.Activate(1, 4);
        Sequence old = NewSequence("old", [.. Enumerable.Range(0, 40)]);
        scheduler.Submit(old);
        Next(scheduler);
        scheduler.Remove("old");
        scheduler.Activate(1, 4);
        scheduler.Submit(NewSequence("new", [.. Enumerable.Range(100, 50)])); // takes all four
        Next(scheduler);
        scheduler.Remove("new");

        var pipeline = new SimulatedPipeline(16, 4);
        Sequence again = NewSequence("again", [.. Enumerable.Range(0, 40)]);
        scheduler.Submit(again);
        scheduler.Complete(pipeline.Execute(Next(scheduler)), this);

        Assert.Equal(0, again.CachedTokens);
        Assert.Equal(SimulatedPipeline.Next(Enumerable.Range(0, 40)), again.Tokens[^1]);
    }

    private static BatchScheduler Active(int stages, int rows)
    {
        var scheduler = new BatchScheduler(new SchedulerOptions(rows, 16, 100, 128));
        scheduler.Activate(stages, 100);
        return scheduler;
    }

    private static Sequence NewSequence(string id, int[] prompt) =>
        new(id, prompt, [], SamplingParameters.Greedy, 20, new HashSet<int>());

    private static Step Next(BatchScheduler scheduler)
    {
        var step = new Step();
        Assert.True(scheduler.TrySchedule(step));
        return step;
    }
}
