using Llama3Cluster.Actors.Tests.Links;
using Xunit.Abstractions;

namespace Llama3Cluster.Actors.Tests.Simulation;

/// <summary>
/// Seeded lives of a cluster: scheduler, epochs and fencing, placement and failover, as in production. A failing seed prints itself and
/// what happened; LLAMA3CLUSTER_SIMULATION_SEED runs one seed, LLAMA3CLUSTER_SIMULATION_SEEDS another number of them. They keep every core
/// and the thread pool busy for half a minute, while other tests have deadlines.
/// </summary>
[Collection(nameof(WholeProcess))]
public sealed class ClusterSimulationTests(ITestOutputHelper output)
{
    private const int Seeds = 10_000;

    [Fact]
    public void Every_text_must_be_right_and_everything_given_back_whatever_happens_to_nodes_and_network()
    {
        if (Number("LLAMA3CLUSTER_SIMULATION_SEED") is { } seed)
        {
            output.WriteLine(SimulatedLife.Run(seed) ?? $"seed {seed} is good");
            Assert.Null(SimulatedLife.Run(seed));
            return;
        }

        string? failure = FirstFailure(Number("LLAMA3CLUSTER_SIMULATION_SEEDS") ?? Seeds, isFenced: true);
        Assert.True(failure is null, failure);
    }

    [Fact]
    public void A_seed_must_give_the_same_life_again()
    {
        for (int seed = 0; seed < 20; seed++)
            Assert.Equal(SimulatedLife.Trace(seed), SimulatedLife.Trace(seed));
    }

    [Fact]
    public void Stages_that_compute_steps_of_epochs_that_are_over_must_be_found_out()
    {
        string? failure = FirstFailure(2000, isFenced: false);
        Assert.NotNull(failure);
        output.WriteLine(failure);
    }

    private static string? FirstFailure(int seeds, bool isFenced)
    {
        string? failure = null;
        Parallel.For(0, seeds, (seed, state) =>
        {
            if (SimulatedLife.Run(seed, isFenced) is { } message)
            {
                Interlocked.CompareExchange(ref failure, message, null);
                state.Stop();
            }
        });
        return failure;
    }

    private static int? Number(string variable) => int.TryParse(Environment.GetEnvironmentVariable(variable), out int number) ? number : null;
}
