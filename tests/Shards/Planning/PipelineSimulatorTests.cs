using Llama3Cluster.Shards.Planning;
using Llama3Cluster.Shards.Slices;

namespace Llama3Cluster.Shards.Tests.Planning;

public class PipelineSimulatorTests
{
    [Fact]
    public void A_lone_stream_must_gain_nothing_from_more_stages()
    {
        foreach (int stages in new[] { 1, 2, 4, 8 })
        {
            var prediction = PipelineSimulator.Predict(Even(stages, 0.08 / stages), 8192, LinkAssumption.None, streams: 1, microBatches: 16);
            Assert.Equal(12.5, prediction.TokensPerSecond, 1e-9);
            Assert.Equal(12.5, prediction.StreamTokensPerSecond, 1e-9);
            Assert.Equal(1.0 / stages, prediction.BusyShare, 1e-9);
        }
    }

    [Theory]
    [InlineData(1, 0.25, 25)]
    [InlineData(2, 0.5, 50)]
    [InlineData(4, 1, 100)]
    [InlineData(6, 1, 100)]
    public void Micro_batches_must_fill_the_pipeline_up_to_its_stages(int microBatches, double busy, double tokensPerSecond)
    {
        var prediction = PipelineSimulator.Predict(Even(4, 0.01), 8192, LinkAssumption.None, streams: microBatches, microBatches);
        Assert.Equal(busy, prediction.BusyShare, 1e-9);
        Assert.Equal(tokensPerSecond, prediction.TokensPerSecond, 1e-9);
        Assert.Equal(tokensPerSecond / microBatches, prediction.StreamTokensPerSecond, 1e-9);
    }

    [Theory]
    [InlineData(1, 4, 0)]
    [InlineData(4, 1, 0.75)]
    [InlineData(4, 4, 3.0 / 7)]
    [InlineData(8, 24, 7.0 / 31)]
    public void The_bubble_of_a_pass_that_drains_must_be_gpipes(int stages, int microBatches, double bubble)
    {
        var prediction = PipelineSimulator.Predict(Even(stages, 0.01), 8192, LinkAssumption.None, streams: 100, microBatches);
        Assert.Equal(bubble, prediction.DrainBubble, 1e-12);
    }

    [Fact]
    public void Links_must_lengthen_the_trip_between_nodes_only()
    {
        // 8 streams in 2 micro-batches: 4 rows of 1000 bytes at 1 MB/s are 4 ms, after 1 ms of latency; and 1 ms back.
        var link = new LinkAssumption(0.001, 1e6);
        var near = PipelineSimulator.Predict(Even(2, 0.01, "a", "a"), 1000, link, streams: 8, microBatches: 2);
        var far = PipelineSimulator.Predict(Even(2, 0.01, "a", "b"), 1000, link, streams: 8, microBatches: 2);
        Assert.Equal(8 / 0.020, near.TokensPerSecond, 1e-6);
        Assert.Equal(8 / 0.026, far.TokensPerSecond, 1e-6);
        Assert.Equal(1 / 0.026, far.StreamTokensPerSecond, 1e-6);
    }

    [Fact]
    public void Micro_batches_beyond_the_streams_must_not_count()
    {
        var few = PipelineSimulator.Predict(Even(4, 0.01), 8192, LinkAssumption.None, streams: 2, microBatches: 6);
        Assert.Equal(PipelineSimulator.Predict(Even(4, 0.01), 8192, LinkAssumption.None, streams: 2, microBatches: 2), few);
    }

    [Fact]
    public void A_full_pipeline_must_reach_the_planners_prediction()
    {
        PlannerDevice[] devices = [PlannerScenario.Device("a", 12), PlannerScenario.Device("b", 9, 70)];
        var replica = SlicePlanner.Plan(PlannerScenario.Model18GiB, devices, new PlannerOptions(16, 16)).Replicas[0];
        var prediction = PipelineSimulator.Predict(replica, 8192, LinkAssumption.None, streams: 4, microBatches: 4);
        Assert.Equal(replica.PredictedTokensPerSecond, prediction.TokensPerSecond, 1e-9);
    }

    [Fact]
    public void Arguments_that_mean_nothing_must_be_refused()
    {
        Assert.Throws<ArgumentException>(() => PipelineSimulator.Predict(new PlannedReplica([], 1, 1), 1, LinkAssumption.None, 1, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => PipelineSimulator.Predict(Even(2, 0.01), 1, LinkAssumption.None, 0, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => PipelineSimulator.Predict(Even(2, 0.01), 1, LinkAssumption.None, 1, 0));
        Assert.Throws<ArgumentException>(() => PipelineSimulator.Predict(Even(2, 0.01), 1, new LinkAssumption(-1, 1), 1, 1));
        Assert.Throws<ArgumentException>(() => PipelineSimulator.Predict(Even(2, 0.01), 1, default, 1, 1));
    }

    private static PlannedReplica Even(int stages, double seconds, params string[] nodes)
    {
        var planned = SliceRange.Split(16, stages).Select((slice, i) =>
            new PlannedStage(i < nodes.Length ? nodes[i] : "node", i, slice, 0, 0) { StepSeconds = seconds });
        return new PlannedReplica([.. planned], 1, 1 / seconds);
    }
}
