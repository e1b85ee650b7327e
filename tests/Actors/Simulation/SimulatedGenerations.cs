using Llama3Cluster.Actors.Scheduling;
using Llama3Cluster.Actors.Tests.Scheduling;
using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Actors.Tests.Simulation;

/// <summary>
/// Requests and the logs of their tokens. A log takes a token only if its index is the log's length, as a generation does; every
/// token must be the one that follows the text.
/// </summary>
internal sealed class SimulatedGenerations(SimulatedWorld world, Func<SimulatedReplica> replica)
{
    private readonly Dictionary<string, Generation> _generations = [];

    public int Unfinished { get; private set; }

    /// <summary>Requests that were given up or fitted no pipeline.</summary>
    public int RefusedCount { get; private set; }

    public void Submit()
    {
        Random random = world.Random;
        int shared = random.Next(0, 40), own = random.Next(1, 12), kind = random.Next(3);
        int[] prompt = [.. Enumerable.Range(0, shared).Select(i => (i * (kind + 7)) % 50), .. Enumerable.Range(0, own).Select(_ => random.Next(SimulatedPipeline.Vocabulary))];
        string id = $"g{_generations.Count}";
        _generations[id] = new Generation(prompt, random.Next(1, 60));
        Unfinished++;
        Enqueue(id);
    }

    /// <summary>The replica has lost its memory.</summary>
    public void EnqueueAll()
    {
        foreach ((string id, Generation generation) in _generations)
        {
            if (!generation.IsOver)
                Enqueue(id);
        }
    }

    // Messages between two actors keep their order, so nothing is gained by letting a token travel.
    public void Token(string id, int index, int token)
    {
        Generation generation = _generations[id];
        if (generation.IsOver || index != generation.Log.Count)
            return;
        int wanted = SimulatedPipeline.Next([.. generation.Prompt, .. generation.Log]);
        if (token != wanted)
            throw new InvalidOperationException($"{id} got token {token} at index {index}, and {wanted} is right");
        if (index == generation.MaxTokens)
            throw new InvalidOperationException($"{id} got a token beyond the {generation.MaxTokens} that it asked for");
        generation.Log.Add(token);
    }

    public void Finished(string id, int count)
    {
        if (_generations[id].Log.Count != count)
            throw new InvalidOperationException($"{id} ended after {count} tokens and got {_generations[id].Log.Count}");
        Over(_generations[id]);
    }

    public void Refused(string id)
    {
        RefusedCount++;
        Over(_generations[id]);
    }

    private void Enqueue(string id)
    {
        Generation generation = _generations[id];
        if (replica().Scheduler.Find(id) is null)
            replica().Submit(new Sequence(id, generation.Prompt, [.. generation.Log], SamplingParameters.Greedy, generation.MaxTokens, new HashSet<int>()));
    }

    private void Over(Generation generation)
    {
        if (generation.IsOver)
            return;
        generation.IsOver = true;
        Unfinished--;
    }

    private sealed class Generation(int[] prompt, int maxTokens)
    {
        public int[] Prompt { get; } = prompt;

        public int MaxTokens { get; } = maxTokens;

        public List<int> Log { get; } = [];

        public bool IsOver { get; set; }
    }
}
